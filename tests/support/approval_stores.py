"""Approvals and their document in memory, for tests of what stands on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from app.clock import now_ms
from app.errors import StorageUnavailable
from app.tools.approvals.document import EMPTY, ApprovalsDocument
from app.tools.approvals.record import Approval, Kind, Outcome


@dataclass
class MemoryApprovals:
    """Implements `ApprovalStore`; `is_down` makes it fail."""

    records: dict[str, Approval] = field(default_factory=dict)
    is_down: bool = False

    def add(self, approval: Approval) -> None:
        self._check()
        self.records[approval.id] = approval

    def get(self, approval_id: str) -> Approval | None:
        self._check()
        return self.records.get(approval_id)

    def pending(self) -> list[Approval]:
        self._check()
        return [one for one in self.records.values() if one.is_pending]

    def pending_ids(self) -> set[str]:
        return {one.id for one in self.pending()}

    def resolve(self, approval_id: str, outcome: Outcome) -> bool:
        self._check()
        found = self.records.get(approval_id)
        if found is None or not found.is_pending:
            return False
        self.records[approval_id] = replace(
            found,
            state=outcome.state,
            reason=outcome.reason,
            decision=outcome.decision,
            resolver=outcome.resolver,
            resolved_at=now_ms(),
        )
        return True

    def history(self, limit: int, before: str | None = None, kind: Kind | None = None) -> list[Approval]:
        raise NotImplementedError

    def cancel_orphans(self) -> int:
        return 0

    def take_back(self, run_id: str) -> set[str]:
        return set()

    def prune(self, before: int) -> int:
        return 0

    def _check(self) -> None:
        if self.is_down:
            raise StorageUnavailable("The disk is full.")


@dataclass
class MemoryDocument:
    """Implements `DocumentStore`."""

    document: ApprovalsDocument | None = None
    place: str = "(memory)"

    def read(self) -> ApprovalsDocument | None:
        return self.document

    def update(self, change: Callable[[ApprovalsDocument], ApprovalsDocument]) -> ApprovalsDocument:
        self.document = change(self.document or EMPTY)
        return self.document
