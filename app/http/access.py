"""What every route needs to know of its request: the gateway, the caller, the request's id."""

from __future__ import annotations

from flask import Request, current_app, g, request

from app import logs
from app.auth.authenticate import Caller, authenticate
from app.auth.origin import check_host, check_open_gateway
from app.auth.principal import Principal
from app.bootstrap import Gateway
from app.config.settings import GatewaySettings
from app.http.connection import limit_writes
from app.ids import request_id_from

EXTENSION = "gateway"
HEALTH_PATHS = ("/health", "/healthz", "/ready", "/readyz")


def current_request() -> Request:
    """The request itself: every look at it through Flask's proxy is several calls."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]
    return found


def current_gateway() -> Gateway:
    gateway: Gateway = current_app.extensions[EXTENSION]
    return gateway


def current_principal() -> Principal:
    """The caller; only behind `require_principal`."""
    principal: Principal = g.principal
    return principal


def current_request_id() -> str:
    name: str = g.request_id
    return name


def name_request(request: Request) -> None:
    """Give the request its id, for logs, errors and the answer, and its client a limit."""
    limit_writes(request.environ)
    name = request_id_from(request.environ.get("HTTP_X_REQUEST_ID"))
    g.request_id = name
    logs.request_id.set(name)


def check_name(request: Request, settings: GatewaySettings) -> None:
    """Refuse a request that means another host (DNS rebinding). Health is told to anybody."""
    if request.path not in HEALTH_PATHS:
        check_host(request.environ.get("HTTP_HOST"), settings)


def require_principal() -> None:
    """Refuse a caller without the secret, before the body is read. Raises Unauthorized and its kin."""
    gateway, asked = current_gateway(), current_request()
    settings = gateway.settings.gateway
    header = asked.headers.get
    check_open_gateway(header, settings)
    caller = Caller(asked.environ.get("REMOTE_ADDR", ""), header)
    g.principal = authenticate(caller, settings, gateway.auth_limiter)
