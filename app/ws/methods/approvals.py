"""`exec.approval.*`, `plugin.approval.*` and `approval.*`: what waits for somebody, and the answer
(docs/approvals.md#over-websocket).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.errors import ApprovalOver, ApprovalResolved, NotFound, UnsupportedValue
from app.tools.approvals.record import DECISIONS, Approval, ApprovalRequest, Kind, Resolver
from app.tools.approvals.snapshot import pending_entry, preview, snapshot
from app.ws.call import LATER, Answer, Call, Handler
from app.ws.errors import ProtocolError
from app.ws.methods.approval_requests import load_exec, load_plugin

MAX_EXEC_MS, MAX_PLUGIN_MS = 86_400_000, 600_000
DEFAULT_PLUGIN_MS = 120_000
DEFAULT_PAGE, MAX_PAGE = 50, 100
MAX_ID = 36
KINDS: tuple[Kind, ...] = ("exec", "plugin")

REMEDIATION = "It has been answered, has expired, or its run has ended. List those that wait."


def listing(kind: Kind) -> Handler:
    """A method that lists those of a kind that wait."""
    return lambda call: [
        pending_entry(one) for one in call.gateway.approvals.pending(call.peer.principal, kind)
    ]


def get_exec(call: Call) -> Any:
    """One that waits."""
    found = _find(call, "exec")
    if not found.is_pending:
        raise _unknown()
    request = found.request
    return pending_entry(found) | {
        "commandText": request.command,
        "commandPreview": preview(request.command),
        "allowedDecisions": list(request.allowed),
        "host": request.host,
        "nodeId": None,
        "agentId": request.agent_id,
    }


def requesting(kind: Kind, load: Callable[[Call], ApprovalRequest], default_ms: int | None) -> Handler:
    """A method by which a client asks for something of its own, and gets the answer when there is one."""
    longest = MAX_EXEC_MS if kind == "exec" else MAX_PLUGIN_MS

    def request(call: Call) -> Any:
        approvals, params = call.gateway.approvals, call.params
        milliseconds = default_ms or int(approvals.timeout_seconds * 1000)
        seconds = params.integer("timeoutMs", milliseconds, 1, longest) / 1000
        approval_id = params.optional_text("id")
        if approval_id is not None and not 0 < len(approval_id) <= MAX_ID:
            raise params.wrong("at /id", f"must have 1 to {MAX_ID} characters")
        asked = load(call)
        answer = None if params.flag("twoPhase") else call.later()
        try:
            found = approvals.request(asked, seconds, approval_id)
        except BaseException:
            if answer is not None:
                answer.end()
            raise
        return _decision(found) if answer is None else _answer_later(call, answer, found.id)

    return request


def waiting(kind: Kind) -> Handler:
    """A method that waits for the decision."""

    def wait(call: Call) -> Any:
        found = _find(call, kind)
        return _answer_later(call, call.later(), found.id) if found.is_pending else _decision(found)

    return wait


def resolving(kind: Kind) -> Handler:
    """A method that decides one of that kind."""

    def resolve(call: Call) -> Any:
        _resolve(call, kind)
        return {"ok": True}

    return resolve


def get_any(call: Call) -> Any:
    """One of any kind, over or not."""
    return {"approval": snapshot(_find(call))}


def resolve_any(call: Call) -> Any:
    """Decide one of any kind. It is no error that somebody was quicker."""
    kind = _kind(call)
    try:
        approval, applied = _resolve(call, kind)
    except ProtocolError as error:
        if error.details.get("reason") == "APPROVAL_NOT_FOUND":
            raise
        approval, applied = _find(call, kind), False
        if approval.is_pending:
            raise
    return {"applied": applied, "approval": snapshot(approval)}


def history(call: Call) -> Any:
    """Those that are over, newest first."""
    params = call.params
    limit = params.integer("limit", DEFAULT_PAGE, 1, MAX_PAGE)
    before = params.optional_text("cursor")
    items, more = call.gateway.approvals.history(call.peer.principal, limit, before, _kind(call))
    page: dict[str, Any] = {"items": [snapshot(one) for one in items]}
    return page if more is None else {**page, "nextCursor": more}


def _resolve(call: Call, kind: Kind | None) -> tuple[Approval, bool]:
    approval_id, decision = call.params.text("id"), call.params.text("decision")
    try:
        return call.gateway.approvals.resolve(
            call.peer.principal, approval_id, decision, _resolver(call), kind
        )
    except NotFound as error:
        raise _unknown() from error
    except ApprovalResolved as error:
        raise ProtocolError("approval already resolved", {"reason": "APPROVAL_ALREADY_RESOLVED"}) from error
    except ApprovalOver as error:
        details = {"reason": "APPROVAL_EXPIRED", "remediation": REMEDIATION}
        raise ProtocolError("unknown or expired approval id", details) from error
    except UnsupportedValue as error:
        allowed = {"allowedDecisions": list(DECISIONS)}
        raise ProtocolError("invalid decision", {"reason": "INVALID_DECISION", **allowed}) from error


def _resolver(call: Call) -> Resolver:
    return Resolver("device", call.peer.principal.user or call.peer.client.id)


def _find(call: Call, kind: Kind | None = None) -> Approval:
    try:
        return call.gateway.approvals.get(call.peer.principal, call.params.text("id"), kind)
    except NotFound as error:
        raise _unknown() from error


def _unknown() -> ProtocolError:
    details = {"reason": "APPROVAL_NOT_FOUND", "remediation": REMEDIATION}
    return ProtocolError("unknown or expired approval id", details)


def _kind(call: Call) -> Kind | None:
    word = call.params.optional_text("kind")
    if word is None:
        return None
    for kind in KINDS:
        if word == kind:
            return kind
    raise call.params.wrong("at /kind", "must be exec or plugin")


def _answer_later(call: Call, answer: Answer, approval_id: str) -> Any:
    def send(approval: Approval) -> None:
        answer.succeed(_decision(approval))

    answer.at_end(call.gateway.approvals.service.when_over(approval_id, send))
    return LATER


def _decision(approval: Approval) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": approval.id,
        "decision": approval.decision,
        "createdAtMs": approval.created_at,
        "expiresAtMs": approval.expires_at,
    }
    if not approval.is_pending and approval.reason != "user":
        answer["terminalReason"] = approval.reason
    return answer


APPROVALS: dict[str, Handler] = {
    "exec.approval.request": requesting("exec", load_exec, None),
    "exec.approval.waitDecision": waiting("exec"),
    "exec.approval.list": listing("exec"),
    "exec.approval.get": get_exec,
    "exec.approval.resolve": resolving("exec"),
    "plugin.approval.request": requesting("plugin", load_plugin, DEFAULT_PLUGIN_MS),
    "plugin.approval.waitDecision": waiting("plugin"),
    "plugin.approval.list": listing("plugin"),
    "plugin.approval.resolve": resolving("plugin"),
    "approval.get": get_any,
    "approval.resolve": resolve_any,
    "approval.history": history,
}
