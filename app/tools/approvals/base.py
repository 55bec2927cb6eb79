"""What approvals are stored in. All methods raise StorageUnavailable; each is one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.tools.approvals.document import ApprovalsDocument
from app.tools.approvals.record import Approval, Kind, Outcome


class ApprovalStore(Protocol):
    """The records, each of them of the worker that waits for it."""

    def add(self, approval: Approval) -> None:
        """Store a new one, as this worker's."""

    def get(self, approval_id: str) -> Approval | None: ...

    def pending(self) -> list[Approval]:
        """Those of all workers, oldest first."""

    def pending_ids(self) -> set[str]:
        """The ids of these alone, at less cost."""

    def resolve(self, approval_id: str, outcome: Outcome) -> bool:
        """End a pending one. False if it has ended already, or there is none."""

    def history(self, limit: int, before: str | None = None, kind: Kind | None = None) -> list[Approval]:
        """Those that are over, newest first; only those older than the one with the id `before`."""

    def cancel_orphans(self) -> int:
        """Cancel the pending ones of dead workers. Returns how many there were."""

    def take_back(self, run_id: str) -> set[str]:
        """Cancel what a dead worker's run waits for. The ids of its calls that were not made for it."""

    def prune(self, before: int) -> int:
        """Delete those that ended before that time. Returns how many there were."""


class DocumentStore(Protocol):
    """The approvals document."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def read(self) -> ApprovalsDocument | None:
        """None if nobody has written one yet."""

    def update(self, change: Callable[[ApprovalsDocument], ApprovalsDocument]) -> ApprovalsDocument:
        """Put what `change` makes of the present document in its place, and return it.

        `change` may run in another thread, and twice. What it raises leaves the document as it is.
        """
