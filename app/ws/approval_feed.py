"""Tells the connections that may approve what waits for it, and what became of it."""

from __future__ import annotations

from typing import Any

from app.clock import now_ms
from app.tools.approvals.record import Approval
from app.tools.approvals.service import ApprovalService
from app.tools.approvals.snapshot import pending_entry, request_of
from app.ws.connections import Connections
from app.ws.frames import EventFrame


class ApprovalFeed:
    """`exec.approval.requested`, `exec.approval.resolved`, and the same for `plugin`
    (docs/approvals.md#over-websocket).
    """

    def __init__(self, connections: Connections, approvals: ApprovalService) -> None:
        self._connections = connections
        approvals.listeners.append(self._send)
        approvals.approvers.append(lambda session_key: bool(connections.approvers(session_key)))

    def _send(self, approval: Approval) -> None:
        connections = self._connections.approvers(approval.request.session_key)
        if connections:
            what = "requested" if approval.is_pending else "resolved"
            frame = EventFrame(f"{approval.request.kind}.approval.{what}", _payload(approval))
            for connection in connections:
                connection.notify(frame)


def _payload(approval: Approval) -> dict[str, Any]:
    if approval.is_pending:
        return pending_entry(approval)
    return {
        "id": approval.id,
        "decision": approval.decision,
        "resolvedBy": approval.resolver and approval.resolver.id,
        "ts": now_ms(),
        "request": request_of(approval.request),
        "status": approval.state,
    }
