"""Asks somebody, and waits for the answer.

The record in the database is the truth: the first that ends it there has decided. This process remembers
those that its own runs wait for, wakes them, and tells its transports. A call that waits is a greenlet that
sleeps; nothing is polled for it but for one look at the database each second, for what another process has
decided.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from app.cancel import Cancel
from app.clock import now_ms
from app.errors import (
    ApprovalOver,
    ApprovalResolved,
    NotFound,
    Overloaded,
    StorageUnavailable,
    UnsupportedValue,
)
from app.ids import new_uuid
from app.logs.lines import log_event
from app.tools.approvals.base import ApprovalStore
from app.tools.approvals.record import (
    CANCELLED,
    EXPIRED,
    Approval,
    ApprovalRequest,
    Decision,
    Kind,
    Outcome,
    Resolver,
    outcome_of,
)

logger = logging.getLogger("app.approvals")

MAX_PENDING = 1000
HISTORY_SECONDS = 30 * 86400.0
RETRY_SECONDS = 5.0

Listener = Callable[[Approval], object]


class _Pending:
    def __init__(self, approval: Approval) -> None:
        self.approval = approval
        self.over = threading.Event()
        self.then: list[Listener] = []
        self.unsaved: Outcome | None = None  # how it has ended, while that cannot be stored


class ApprovalService:
    """`listeners` are called with each approval that begins and each that ends; they must not wait.

    `approvers` say, for a session's key, whether somebody is there who may approve what its runs do.
    """

    def __init__(self, store: ApprovalStore) -> None:
        self._store = store
        self._pending: dict[str, _Pending] = {}
        self.listeners: list[Listener] = []
        self.approvers: list[Callable[[str], bool]] = []

    @property
    def waiting(self) -> int:
        """How many this process waits for."""
        return len(self._pending)

    def can_be_asked(self, session_key: str) -> bool:
        """Whether somebody is there who may approve what the session's runs do."""
        return any(is_there(session_key) for is_there in self.approvers)

    def begin(self, request: ApprovalRequest, seconds: float, approval_id: str | None = None) -> Approval:
        """Store it and tell everybody. Raises Overloaded and StorageUnavailable."""
        if len(self._pending) >= MAX_PENDING:
            raise Overloaded(f"{MAX_PENDING} approvals are waiting already.", retry_after=RETRY_SECONDS)
        now = now_ms()
        approval = Approval(
            id=approval_id or new_uuid(),
            request=request,
            created_at=now,
            expires_at=now + max(1, int(seconds * 1000)),
        )
        self._store.add(approval)
        self._pending[approval.id] = _Pending(approval)
        self._log("approval requested", approval)
        self._tell(approval)
        return approval

    def wait(self, approval_id: str, cancel: Cancel) -> Approval:
        """The approval once it is over. If `cancel` comes first, it is cancelled, and the error raised."""
        pending = self._pending.get(approval_id)
        if pending is None:
            return self.get(approval_id)
        try:
            with cancel.waking(pending.over.set):
                pending.over.wait(max(0.0, pending.approval.expires_at / 1000 - time.time()))
        except Exception:
            with suppress(StorageUnavailable):
                self._end(approval_id, CANCELLED)
            raise
        return self._end(approval_id, EXPIRED)

    def when_over(self, approval_id: str, then: Listener) -> Callable[[], None]:
        """Call `then` with the approval when it is over; now if it is. Returns what takes the request back.

        Raises NotFound.
        """
        pending = self._pending.get(approval_id)
        if pending is None:
            then(self.get(approval_id))
            return lambda: None
        pending.then.append(then)

        def take_back() -> None:
            if then in pending.then:
                pending.then.remove(then)

        return take_back

    def get(self, approval_id: str) -> Approval:
        """That one, over or not. Raises NotFound."""
        found = self._store.get(approval_id)
        if found is None:
            raise NotFound(f"There is no approval {approval_id[:80]!r}.")
        return found

    def pending(self) -> Sequence[Approval]:
        """All that are waited for, oldest first."""
        return self._store.pending()

    def history(self, limit: int, before: str | None = None, kind: Kind | None = None) -> Sequence[Approval]:
        """Those that are over, newest first."""
        return self._store.history(limit, before, kind)

    def resolve(self, approval_id: str, decision: Decision, resolver: Resolver) -> tuple[Approval, bool]:
        """Decide it. The approval as it ended, and whether this decision ended it: the first one does.

        Raises NotFound, ApprovalResolved (another decision came first) and ApprovalOver (it has
        expired, or its run has ended; nothing is revived).
        """
        found = self.get(approval_id)
        pending = self._pending.get(approval_id)
        unsaved = None if pending is None else pending.unsaved
        if found.is_pending and (unsaved or found.expires_at <= now_ms()):
            found = self._end(approval_id, unsaved or EXPIRED)
        if found.is_pending:
            if decision not in found.request.allowed:
                raise UnsupportedValue(
                    f"{decision} is not offered here: choose {' or '.join(found.request.allowed)}.",
                    param="decision",
                )
            applied = self._store.resolve(approval_id, outcome_of(decision, resolver))
            found = self._ended(approval_id)
            if applied:
                return found, True
        if found.state in ("expired", "cancelled"):
            raise ApprovalOver(_why_over(found))
        if found.decision != decision:
            raise ApprovalResolved(f"approval already resolved: {found.decision}")
        return found, False

    def sweep(self) -> None:
        """End what has expired, and take note of what other processes have decided. About once a second."""
        if not self._pending:
            return
        now, before = now_ms(), dict(self._pending)
        with suppress(StorageUnavailable):  # the next sweep tries again
            for approval_id, pending in before.items():
                if pending.unsaved or pending.approval.expires_at <= now:
                    self._end(approval_id, pending.unsaved or EXPIRED)
            for approval_id in before.keys() - self._store.pending_ids():
                self._ended(approval_id)

    def tidy(self) -> None:
        """Cancel what dead workers left, and forget what is long over. Raises StorageUnavailable."""
        if cancelled := self._store.cancel_orphans():
            log_event(
                logger, logging.WARNING, "approvals of an earlier process were cancelled", approvals=cancelled
            )
        self._store.prune(now_ms() - int(HISTORY_SECONDS * 1000))

    def _end(self, approval_id: str, outcome: Outcome) -> Approval:
        """End it that way unless it has ended already; how it has."""
        pending = self._pending.get(approval_id)
        try:
            self._store.resolve(approval_id, outcome)
        except StorageUnavailable:
            if pending is not None:
                pending.unsaved = pending.unsaved or outcome
            raise
        return self._ended(approval_id)

    def _ended(self, approval_id: str) -> Approval:
        """It has ended in the database: whoever waits for it here is told, once."""
        approval = self.get(approval_id)
        pending = self._pending.pop(approval_id, None)
        if pending is not None:
            self._log("approval resolved", approval)
            pending.over.set()
            self._tell(approval)
            while pending.then:
                pending.then.pop(0)(approval)
        return approval

    def _tell(self, approval: Approval) -> None:
        for listener in list(self.listeners):
            listener(approval)

    def _log(self, message: str, approval: Approval) -> None:
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


def _why_over(approval: Approval) -> str:
    if approval.state == "expired":
        return "The approval has expired: nobody answered in time. The call was not made."
    return "The approval was cancelled: its run has ended. Nothing is run any more."
