"""Approvals and their document in the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Insert, Select, Update, bindparam, select, tuple_

from app.clock import now_ms
from app.storage.base import Database, Worker, nothing_settled
from app.storage.tables import approvals, documents
from app.tools.approvals.document import EMPTY, ApprovalsDocument, read_document
from app.tools.approvals.record import Approval, ApprovalRequest, Kind, Outcome, Resolver

ORPHANED = "gateway-restart"  # the reason why it was cancelled: nobody waits for it any more
DOCUMENT = "exec_approvals_config"  # the name under which OpenClaw keeps it

_COLUMNS = (
    approvals.c.id,
    approvals.c.request,
    approvals.c.created_at,
    approvals.c.expires_at,
    approvals.c.state,
    approvals.c.resolved_at,
    approvals.c.decision,
    approvals.c.reason,
    approvals.c.resolver_kind,
    approvals.c.resolver,
)
_ADD = approvals.insert().values(
    {
        name: bindparam(name)
        for name in (
            *("id", "kind", "state", "worker", "agent_id", "session_key", "run_id", "request"),
            *("created_at", "expires_at"),
        )
    }
)
_GET = select(*_COLUMNS).where(approvals.c.id == bindparam("approval"))
_PENDING = (
    select(*_COLUMNS).where(approvals.c.state == "pending").order_by(approvals.c.created_at, approvals.c.id)
)
_PENDING_IDS = select(approvals.c.id).where(approvals.c.state == "pending")
_END: dict[str, Any] = {
    "state": bindparam("new_state"),
    "resolved_at": bindparam("now"),
    "decision": bindparam("new_decision"),
    "reason": bindparam("new_reason"),
    "resolver_kind": bindparam("new_resolver_kind"),
    "resolver": bindparam("new_resolver"),
}
_RESOLVE = (
    approvals.update()
    .where(approvals.c.id == bindparam("approval"), approvals.c.state == "pending")
    .values(_END)
)
_WORKERS = select(approvals.c.worker).where(approvals.c.state == "pending").distinct()
_CANCEL = (
    approvals.update()
    .where(approvals.c.worker == bindparam("dead_worker"), approvals.c.state == "pending")
    .values(_END)
)
_OF_RUN = approvals.c.run_id == bindparam("run")
_CANCEL_OF_RUN = approvals.update().where(_OF_RUN, approvals.c.state == "pending").values(_END)
_ORPHANS_OF_RUN = select(approvals.c.request).where(
    _OF_RUN, approvals.c.state == "cancelled", approvals.c.reason == ORPHANED
)
_NEWEST_FIRST = (approvals.c.resolved_at.desc(), approvals.c.id.desc())
_PRUNE = approvals.delete().where(approvals.c.resolved_at < bindparam("before"))

_IS_THERE = select(approvals.c.id).where(approvals.c.id == bindparam("approval"))
_IS_SO = _IS_THERE.where(
    approvals.c.resolved_at == bindparam("now"),
    approvals.c.decision.is_not_distinct_from(bindparam("new_decision")),
)

_READ = select(documents.c.content).where(documents.c.name == DOCUMENT)
_READ_FOR_CHANGE = _READ.with_for_update()
_WRITE = documents.update().where(documents.c.name == DOCUMENT)


class SqlApprovalStore:
    """Implements `ApprovalStore`. Building it opens nothing."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker
        self._get = database.prepare(_GET)
        self._pending = database.prepare(_PENDING)
        self._pending_ids = database.prepare(_PENDING_IDS)

    def add(self, approval: Approval) -> None:
        request = approval.request
        row = {
            "id": approval.id,
            "kind": request.kind,
            "state": approval.state,
            "worker": self._worker.id,
            "agent_id": request.agent_id,
            "session_key": request.session_key,
            "run_id": request.run_id,
            "request": msgspec.json.encode(request).decode(),
            "created_at": approval.created_at,
            "expires_at": approval.expires_at,
        }
        self._store(_ADD, row, _IS_THERE.with_for_update(), patient=True)

    def get(self, approval_id: str) -> Approval | None:
        rows = self._database.rows(self._get, {"approval": approval_id})
        return _load(rows[0]) if rows else None

    def pending(self) -> list[Approval]:
        return [_load(row) for row in self._database.rows(self._pending, {})]

    def pending_ids(self) -> set[str]:
        return {row[0] for row in self._database.rows(self._pending_ids, {})}

    def resolve(self, approval_id: str, outcome: Outcome) -> bool:
        values = {**_end(outcome), "approval": approval_id}
        return self._store(_RESOLVE, values, _IS_SO.with_for_update())

    def history(self, limit: int, before: str | None = None, kind: Kind | None = None) -> list[Approval]:
        statement = select(*_COLUMNS).where(approvals.c.state != "pending")
        if kind is not None:
            statement = statement.where(approvals.c.kind == kind)
        if before is not None:
            last = approvals.alias("last")
            place = select(last.c.resolved_at, last.c.id).where(last.c.id == before).scalar_subquery()
            statement = statement.where(tuple_(approvals.c.resolved_at, approvals.c.id) < place)
        statement = statement.order_by(*_NEWEST_FIRST).limit(limit)
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return [_load(row) for row in rows]

    def cancel_orphans(self) -> int:
        values = _end(Outcome("cancelled", ORPHANED))

        def work(connection: Connection) -> int:
            workers = connection.execute(_WORKERS).scalars().all()
            dead = self._worker.bury(connection, workers)
            return sum(connection.execute(_CANCEL, {**values, "dead_worker": one}).rowcount for one in dead)

        return self._database.write(work, bulky=True, alone="approvals: upkeep")

    def take_back(self, run_id: str) -> set[str]:
        values = {**_end(Outcome("cancelled", ORPHANED)), "run": run_id}

        def work(connection: Connection) -> set[str]:
            connection.execute(_CANCEL_OF_RUN, values)
            rows = connection.execute(_ORPHANS_OF_RUN, {"run": run_id}).scalars()
            return {msgspec.json.decode(row, type=ApprovalRequest).call_id for row in rows}

        return self._database.write(work, settled=nothing_settled)

    def prune(self, before: int) -> int:
        values = {"before": before}
        return self._database.write(
            lambda connection: connection.execute(_PRUNE, values).rowcount, bulky=True
        )

    def _store(
        self,
        change: Insert | Update,
        values: dict[str, Any],
        is_stored: Select[Any],
        *,
        patient: bool = False,
    ) -> bool:
        """Whether it has changed a row; `is_stored` finds one if it had been done before."""
        names = {"approval": values.get("id"), **values}
        return self._database.write(
            lambda connection: connection.execute(change, values).rowcount > 0,
            patient=patient,
            settled=lambda connection: connection.execute(is_stored, names).scalar() is not None or None,
        )


class SqlDocumentStore:
    """Implements `DocumentStore`. `file` is the database's, to tell people."""

    def __init__(self, database: Database, file: str) -> None:
        self._database = database
        self._read = database.prepare(_READ)
        self.place = f"{file}#{DOCUMENT}"

    def read(self) -> ApprovalsDocument | None:
        rows = self._database.rows(self._read, {})
        return read_document(rows[0][0]) if rows else None

    def update(self, change: Callable[[ApprovalsDocument], ApprovalsDocument]) -> ApprovalsDocument:
        def work(connection: Connection) -> ApprovalsDocument:
            found = connection.execute(_READ_FOR_CHANGE).scalar()
            changed = change(EMPTY if found is None else read_document(found))
            values = {"content": msgspec.json.encode(changed).decode(), "updated_at": now_ms()}
            if found is None:
                connection.execute(documents.insert(), {"name": DOCUMENT, **values})
            else:
                connection.execute(_WRITE.values(**values))
            return changed

        return self._database.write(work)


def _end(outcome: Outcome) -> dict[str, Any]:
    return {
        "new_state": outcome.state,
        "now": now_ms(),
        "new_decision": outcome.decision,
        "new_reason": outcome.reason,
        "new_resolver_kind": outcome.resolver.kind,
        "new_resolver": outcome.resolver.id,
    }


def _load(row: Sequence[Any]) -> Approval:
    approval_id, request, created, expires, state, resolved, decision, reason, kind, resolver = row
    return Approval(
        id=approval_id,
        request=msgspec.json.decode(request, type=ApprovalRequest),
        created_at=created,
        expires_at=expires,
        state=state,
        resolved_at=resolved,
        decision=decision,
        reason=reason,
        resolver=None if kind is None else Resolver(kind, resolver),
    )
