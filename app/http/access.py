"""What every route needs to know of its request: the gateway, the caller, the request's id."""

from __future__ import annotations

from typing import cast

from flask import current_app, g, request

from app import logs
from app.auth.authenticate import authenticate
from app.auth.principal import Principal
from app.bootstrap import Gateway
from app.ids import request_id_from

EXTENSION = "gateway"


def current_gateway() -> Gateway:
    return cast(Gateway, current_app.extensions[EXTENSION])


def current_principal() -> Principal:
    """The caller; only behind `require_principal`."""
    return cast(Principal, g.principal)


def current_request_id() -> str:
    return cast(str, g.request_id)


def name_request() -> None:
    """Give the request its id, for logs, errors and the answer."""
    g.request_id = request_id_from(request.headers.get("X-Request-Id"))
    logs.request_id.set(g.request_id)


def require_principal() -> None:
    """Refuse a caller without the secret, before the body is read. Raises Unauthorized."""
    g.principal = authenticate(request.headers.get("Authorization"), current_gateway().settings.gateway.auth)
