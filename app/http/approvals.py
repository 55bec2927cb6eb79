"""`/v1/approvals`: what waits for somebody's approval, and the answer (docs/approvals.md#over-http)."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint

from app.auth.grants import require
from app.auth.scopes import APPROVALS
from app.errors import UnsupportedValue
from app.exchange import GatewayResponse, current_request, json_answer
from app.http.access import require_principal
from app.http.request_body import read_json
from app.tools.approvals.record import Resolver
from app.tools.approvals.snapshot import snapshot

MAX_BODY = 64 * 1024
bp = Blueprint("approvals", __name__)


@bp.before_request
def require_approver() -> None:
    """`require_principal` of a caller who may approve. Raises MissingScope, too."""
    require_principal()
    require(current_request().principal, APPROVALS)


@bp.get("/v1/approvals")
def list_approvals() -> GatewayResponse:
    """Those that wait, oldest first."""
    request = current_request()
    pending = request.gateway.approvals.pending(request.principal)
    return _answer({"approvals": [snapshot(one) for one in pending]})


@bp.get("/v1/approvals/<approval_id>")
def get_approval(approval_id: str) -> GatewayResponse:
    """One, over or not. Raises NotFound."""
    request = current_request()
    return _answer(snapshot(request.gateway.approvals.get(request.principal, approval_id)))


@bp.post("/v1/approvals/<approval_id>")
def resolve_approval(approval_id: str) -> GatewayResponse:
    """Decide it, and show how it ended. Raises NotFound, ApprovalResolved and ApprovalOver."""
    request = current_request()
    decision = read_json(request, MAX_BODY).get("decision")
    if not isinstance(decision, str):
        raise UnsupportedValue("`decision` must be one of: allow-once, allow-always, deny.", param="decision")
    resolver = Resolver("channel", request.principal.user or "http")
    found, _ = request.gateway.approvals.resolve(request.principal, approval_id, decision, resolver)
    return _answer(snapshot(found))


def _answer(document: dict[str, Any]) -> GatewayResponse:
    return json_answer(orjson.dumps(document))
