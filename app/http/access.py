"""What every route needs to know of its request: the gateway, the caller, the request's id."""

from __future__ import annotations

from app.auth.authenticate import Caller, authenticate
from app.auth.origin import check_host, check_open_gateway
from app.config.settings import GatewaySettings
from app.exchange import GatewayRequest, current_request
from app.gateway import Gateway
from app.http.connection import limit_writes
from app.ids import request_id_from
from app.logs import lines as logs

HEALTH_PATHS = ("/health", "/healthz", "/ready", "/readyz")


def current_gateway() -> Gateway:
    return current_request().gateway


def name_request(request: GatewayRequest) -> None:
    """Give the request its id, for logs, errors and the answer, and its client a limit."""
    limit_writes(request.environ)
    request.id = request_id_from(request.environ.get("HTTP_X_REQUEST_ID"))
    logs.request_id.set(request.id)


def check_host_header(request: GatewayRequest, settings: GatewaySettings) -> None:
    """Refuse a request that means another host (DNS rebinding). Health is told to anybody."""
    if request.path not in HEALTH_PATHS:
        check_host(request.environ.get("HTTP_HOST"), settings)


def require_principal() -> None:
    """Refuse a caller without the secret, before the body is read. Raises Unauthorized and its kin."""
    request = current_request()
    gateway, environ = request.gateway, request.environ
    settings = gateway.settings.gateway

    def header(name: str) -> str | None:
        value: str | None = environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return value

    check_open_gateway(header, settings)
    caller = Caller(environ.get("REMOTE_ADDR", ""), header)
    request.principal = authenticate(caller, settings, gateway.auth_limiter)
