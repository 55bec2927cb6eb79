"""May this caller do that? Every transport, and whatever starts runs for them, asks here. Pure.

Who has which scopes is decided where callers are authenticated (`app.auth.authenticate`, and `connect` of the
Gateway protocol, which may ask for fewer).
"""

from __future__ import annotations

from app.auth.method_scopes import FOR_OPERATORS, METHOD_SCOPES
from app.auth.principal import Principal
from app.auth.scopes import ADMIN, READ, has_scope
from app.errors import Forbidden, MissingScope


def is_granted(principal: Principal, scope: str | None) -> bool:
    """Whether `principal` has `scope`; everybody who is authenticated has None."""
    return scope is None or has_scope(principal.scopes, scope)


def require(principal: Principal, scope: str | None) -> None:
    """Raise MissingScope unless `principal` has `scope`."""
    if scope is not None and not has_scope(principal.scopes, scope):
        raise MissingScope(f"missing scope: {scope}", scope=scope)


def require_method(principal: Principal, method: str) -> None:
    """Raise MissingScope unless `principal` may call that method of the Gateway protocol."""
    is_user = principal.owner is not None
    require(principal, ADMIN if is_user and method in FOR_OPERATORS else METHOD_SCOPES[method])


def require_operator_read(principal: Principal) -> None:
    """Raise MissingScope unless `principal` may see what concerns the whole gateway, other people included.

    A user whom a trusted proxy names needs `operator.admin` for it.
    """
    require(principal, READ if principal.owner is None else ADMIN)


def may_choose_model(principal: Principal) -> bool:
    """Whether a request of `principal` may name the model that answers, instead of the agent's own."""
    return has_scope(principal.scopes, ADMIN)


def require_model_choice(principal: Principal) -> None:
    """Raise Forbidden unless `may_choose_model`."""
    if not may_choose_model(principal):
        raise Forbidden("Only the gateway's operator may choose the model (x-openclaw-model).")


def require_session_model(principal: Principal) -> None:
    """Raise Forbidden unless `principal` may choose the model of a session that it may change.

    Users whom a trusted proxy names may not: it would be the same choice as `x-openclaw-model`.
    """
    if principal.owner is not None:
        raise Forbidden("Only the gateway's operator may choose a session's model.")
