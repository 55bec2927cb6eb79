"""Asks somebody, and waits for the answer.

The record in the database is the truth: the first that ends it there has decided. This worker remembers
those that its own runs wait for, wakes them, and tells its transports. A call that waits is a greenlet that
sleeps; nothing is polled for it but for one look at the database each second, for what another process has
decided. Other workers are told of each that begins or ends, for they have clients of their own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress

from app.cancel import Cancel
from app.clock import now_ms
from app.cluster.ask import Workers, no_workers
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
from app.tools.approvals.log import log_approval
from app.tools.approvals.others import OtherWorkers
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
    why_over,
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

    def __init__(self, store: ApprovalStore, workers: Workers | None = None) -> None:
        self._store = store
        self._others = others = OtherWorkers(workers or no_workers())
        self._pending: dict[str, _Pending] = {}
        self._elsewhere: dict[str, list[Listener]] = defaultdict(list)  # who waits for those of other workers
        self.listeners: list[Listener] = []
        self.approvers: list[Callable[[str], bool]] = []
        others.when_told(self._look_at)
        others.answer_for(self._has_approvers)

    @property
    def waiting(self) -> int:
        """How many this process waits for."""
        return len(self._pending)

    def can_be_asked(self, session_key: str) -> bool:
        """Whether somebody is there who may approve what the session's runs do."""
        return self._has_approvers(session_key) or self._others.have_approvers(session_key)

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
        log_approval("approval requested", approval)
        self._tell(approval)
        self._others.tell(approval.id)
        return approval

    def wait(self, approval_id: str, cancel: Cancel) -> Approval:
        """The approval, one of this worker's, once it is over. `cancel` cancels it, and is raised."""
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
        if pending is None and not (approval := self.get(approval_id)).is_pending:
            then(approval)
            return lambda: None
        waiting = self._elsewhere[approval_id] if pending is None else pending.then
        waiting.append(then)

        def take_back() -> None:
            if then in waiting:
                waiting.remove(then)
            if not self._elsewhere.get(approval_id, True):
                del self._elsewhere[approval_id]

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
                self._others.tell(approval_id)
                return found, True
        if found.state in ("expired", "cancelled"):
            raise ApprovalOver(why_over(found))
        if found.decision != decision:
            raise ApprovalResolved(f"approval already resolved: {found.decision}")
        return found, False

    def sweep(self) -> None:
        """End what has expired, and take note of what other processes have decided. About once a second."""
        if not self._pending and not self._elsewhere:
            return
        now, before, elsewhere = now_ms(), dict(self._pending), set(self._elsewhere)
        with suppress(StorageUnavailable):  # the next sweep tries again
            for approval_id, pending in before.items():
                if pending.unsaved or pending.approval.expires_at <= now:
                    self._end(approval_id, pending.unsaved or EXPIRED)
            for approval_id in (before.keys() | elsewhere) - self._store.pending_ids():
                self._ended(approval_id)

    def tidy(self) -> None:
        """Cancel what dead workers left. Raises StorageUnavailable."""
        if cancelled := self._store.cancel_orphans():
            log_event(
                logger, logging.WARNING, "approvals of an earlier process were cancelled", approvals=cancelled
            )

    def forget(self) -> int:
        """Delete what is long over; how many that were. Raises StorageUnavailable."""
        return self._store.prune(now_ms() - int(HISTORY_SECONDS * 1000))

    def _end(self, approval_id: str, outcome: Outcome) -> Approval:
        """End it that way unless it has ended already; how it has."""
        pending = self._pending.get(approval_id)
        try:
            applied = self._store.resolve(approval_id, outcome)
        except StorageUnavailable:
            if pending is not None:
                pending.unsaved = pending.unsaved or outcome
            raise
        ended = self._ended(approval_id)
        if applied:
            self._others.tell(approval_id)
        return ended

    def _ended(self, approval_id: str) -> Approval:
        """It has ended in the database: whoever waits for it here is told, once."""
        approval = self.get(approval_id)
        pending = self._pending.pop(approval_id, None)
        if pending is not None:
            log_approval("approval resolved", approval)
            pending.over.set()
        self._tell(approval)
        waiting = [*(pending.then if pending else ()), *self._elsewhere.pop(approval_id, ())]
        if pending is not None:
            pending.then.clear()
        for then in waiting:
            then(approval)
        return approval

    def _look_at(self, approval_id: str) -> None:
        """Another worker has said that something has happened to it."""
        approval = self.get(approval_id)
        if approval.is_pending:
            self._tell(approval)
        else:
            self._ended(approval_id)

    def _has_approvers(self, session_key: str) -> bool:
        return any(is_there(session_key) for is_there in self.approvers)

    def _tell(self, approval: Approval) -> None:
        if self._others.is_news(approval.id, pending=approval.is_pending):
            for listener in list(self.listeners):
                listener(approval)
