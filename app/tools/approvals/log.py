"""What the log says of approvals."""

from __future__ import annotations

import logging

from app.logs.lines import log_event
from app.tools.approvals.record import Approval

logger = logging.getLogger("app.approvals")


def log_approval(message: str, approval: Approval) -> None:
    """A line about it, without what is empty."""
    request = approval.request
    given = {
        "approval": approval.id,
        "kind": request.kind,
        "tool": request.tool,
        "agent": request.agent_id,
        "run_id": request.run_id,
        "command": request.command or request.title,
        "state": approval.state,
        "decision": approval.decision,
        "by": approval.resolver and f"{approval.resolver.kind}:{approval.resolver.id}",
    }
    known = {name: value for name, value in given.items() if value}
    log_event(logger, logging.INFO, message, **known)
