"""What every route needs to know of its request: the gateway, the caller, the request's id."""

from __future__ import annotations

from typing import cast

from flask import current_app, g, request

from app import logs
from app.auth.authenticate import Caller, authenticate
from app.auth.origin import check_host, check_open_gateway
from app.auth.principal import Principal
from app.bootstrap import Gateway
from app.http.connection import limit_writes
from app.ids import request_id_from

EXTENSION = "gateway"
HEALTH_PATHS = ("/health", "/healthz", "/ready", "/readyz")


def current_gateway() -> Gateway:
    return cast(Gateway, current_app.extensions[EXTENSION])


def current_principal() -> Principal:
    """The caller; only behind `require_principal`."""
    return cast(Principal, g.principal)


def current_request_id() -> str:
    return cast(str, g.request_id)


def name_request() -> None:
    """Give the request its id, for logs, errors and the answer, and its client a limit."""
    limit_writes(request.environ)
    g.request_id = request_id_from(request.headers.get("X-Request-Id"))
    logs.request_id.set(g.request_id)


def check_name() -> None:
    """Refuse a request that means another host (DNS rebinding). Health is told to anybody."""
    if request.path not in HEALTH_PATHS:
        check_host(request.headers.get("Host"), current_gateway().settings.gateway)


def require_principal() -> None:
    """Refuse a caller without the secret, before the body is read. Raises Unauthorized and its kin."""
    gateway = current_gateway()
    settings = gateway.settings.gateway
    header = request.headers.get
    check_open_gateway(header, settings)
    caller = Caller(request.environ.get("REMOTE_ADDR", ""), header)
    g.principal = authenticate(caller, settings, gateway.auth_limiter)
