"""Who is asking: authentication for the blueprints that need it (docs/http.md#authentication)."""

from __future__ import annotations

from app.auth.authenticate import authenticate
from app.auth.grants import require, require_operator_read
from app.auth.scopes import READ, WRITE
from app.exchange import current_request
from app.gateway import Gateway


def current_gateway() -> Gateway:
    """The gateway that serves the current request."""
    return current_request().gateway


def require_reader() -> None:
    """`require_principal` of a caller who may read. Raises MissingScope, too."""
    require_principal()
    require(current_request().principal, READ)


def require_operator() -> None:
    """`require_principal` of a caller who may see what concerns everybody. Raises MissingScope, too."""
    require_principal()
    require_operator_read(current_request().principal)


def require_writer() -> None:
    """`require_principal` of a caller who may start runs. Raises MissingScope, too."""
    require_principal()
    require(current_request().principal, WRITE)


def require_principal() -> None:
    """For `before_request`: set the request's `principal`. Runs before the body is read.

    Raises Unauthorized, Forbidden and AuthRateLimited.
    """
    request = current_request()
    gateway = request.gateway
    request.principal = authenticate(request.caller, gateway.settings.gateway, gateway.auth_limiter)
