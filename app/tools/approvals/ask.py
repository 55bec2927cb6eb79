"""A tool's call that needs an approval: who is asked, and what the run does meanwhile."""

from __future__ import annotations

from app.errors import ApprovalRequired
from app.events.types import ApprovalRequested, ApprovalResolved
from app.tools.approvals.record import Approval, ApprovalRequest
from app.tools.approvals.service import ApprovalService
from app.tools.approvals.snapshot import snapshot
from app.tools.base import ApprovalMode, Invocation, RunContext


def mode_of(run: RunContext, approvals: ApprovalService) -> ApprovalMode:
    """What becomes of a call that needs an approval: what the run's caller has said. If it has said nothing,
    a run over WebSocket waits, for its events tell of it; any other waits if somebody is there.
    """
    if run.approvals is not None:
        return run.approvals
    return (
        "wait" if (run.surface or run.source) == "ws" or approvals.can_be_asked(run.session_key) else "deny"
    )


def ask(
    approvals: ApprovalService, call: Invocation, request: ApprovalRequest, seconds: float
) -> Approval | None:
    """Ask, and wait: the approval once it is over; the run's clock stands still meanwhile. None: there is
    nobody to ask.

    Raises ApprovalRequired, which ends the run, if its caller wants that, the error of the call's `cancel`,
    Overloaded and StorageUnavailable.
    """
    run = call.run
    mode = mode_of(run, approvals)
    if mode == "deny":
        return None
    if mode == "fail":
        error = ApprovalRequired(
            f"The agent's tool {request.tool or request.kind} needs an approval, and x-openclaw-approvals is "
            "`fail`. Nothing was run. Ask with `wait`, and approve it at /v1/approvals."
        )
        run.cancel.cancel(error)
        raise error
    approval = approvals.begin(request, seconds)
    resume = run.pause()
    decision = None
    try:
        run.publish(ApprovalRequested(approval.id, call.call_id, snapshot(approval)))
        over = approvals.wait(approval.id, call.cancel)
        decision = over.decision
        return over
    finally:
        resume()
        run.publish(ApprovalResolved(approval.id, call.call_id, decision))
