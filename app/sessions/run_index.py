"""The stored runs: found by id, listed newest first, or those of a session that have not ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, or_, select

from app.clock import now_ms
from app.sessions import statements as sql
from app.sessions.bound_keys import KEPT_MS
from app.sessions.keys import space_name
from app.sessions.rows import CALLED, INJECTED, load_stored
from app.sessions.run_rows import (
    ANY_RUN,
    CANCELLED_CODE,
    INTERRUPTED_CODE,
    Outcome,
    RunFilter,
    RunPosition,
    StoredRun,
)
from app.sessions.stored import StoredMessage
from app.storage.base import Database
from app.storage.tables import idempotency_keys, runs, sessions

_RUNS = (
    select(
        runs.c.id,
        sessions.c.key,
        sessions.c.agent_id,
        sessions.c.hidden,
        runs.c.run_number,
        runs.c.source,
        runs.c.state,
        runs.c.worker,
        runs.c.fence,
        runs.c.started_at,
        runs.c.dequeued_at,
        runs.c.ended_at,
        runs.c.finish_reason,
        runs.c.error_code,
        runs.c.error_message,
        runs.c.model,
        runs.c.prompt_tokens,
        runs.c.completion_tokens,
        runs.c.cached_tokens,
        runs.c.reasoning_tokens,
        runs.c.usage_estimated,
        runs.c.request.is_not(None),
    )
    .join(sessions, sessions.c.id == runs.c.session)
    .where(runs.c.source.not_in((INJECTED, CALLED)))
)
_ONE = _RUNS.where(runs.c.id == bindparam("run"))
_UNENDED = _RUNS.where(runs.c.state == "running").order_by(runs.c.session, runs.c.run_number)
_NEWEST = _RUNS.order_by(runs.c.started_at.desc(), runs.c.id.desc())
_OF_KEYS = select(idempotency_keys.c.run_id).where(idempotency_keys.c.created_at > bindparam("since"))
_END_ORPHAN = (
    runs.update()
    .where(*sql.IS_OWN)
    .values(
        state="aborted",
        ended_at=bindparam("now"),
        error_code=bindparam("code"),
        error_message=bindparam("message"),
    )
)
_STOPPED = runs.c.state == "aborted"
_IS_CANCELLED = func.coalesce(runs.c.error_code, CANCELLED_CODE) == CANCELLED_CODE
_IS_INTERRUPTED = runs.c.error_code == INTERRUPTED_CODE
# As `StoredRun.outcome` has it.
_OUTCOMES: Mapping[Outcome, ColumnElement[bool]] = {
    "unended": runs.c.state == "running",
    "completed": runs.c.state == "finished",
    "failed": or_(
        runs.c.state == "failed",
        and_(_STOPPED, runs.c.error_code.not_in((CANCELLED_CODE, INTERRUPTED_CODE))),
    ),
    "cancelled": and_(_STOPPED, _IS_CANCELLED),
    "interrupted": or_(runs.c.state == "interrupted", and_(_STOPPED, _IS_INTERRUPTED)),
}


class SqlRunIndex:
    """Implements `RunIndex`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, run_id: str) -> StoredRun | None:
        """That run; None if there is none, or it only holds a message that was added by hand."""
        try:
            run_id.encode()
        except UnicodeEncodeError:  # half of a surrogate pair: in no database, and refused by their drivers
            return None
        found = self._read(_ONE.params(run=run_id))
        return found[0] if found else None

    def page(
        self, limit: int, after: RunPosition | None = None, where: RunFilter = ANY_RUN
    ) -> list[StoredRun]:
        """The newest runs; those behind the place `after`, if one is given."""
        statement = _filtered(where, _NEWEST).limit(limit)
        if after is not None:
            same_time = and_(runs.c.started_at == after.accepted_at, runs.c.id < after.run_id)
            statement = statement.where(or_(runs.c.started_at < after.accepted_at, same_time))
        rows = self._database.scan(lambda connection: connection.execute(statement).all())
        return [StoredRun(*row) for row in rows]

    def unended(self, session_keys: Collection[str]) -> list[StoredRun]:
        """The runs of these sessions that have not ended, each session's in the order of its queue."""
        return self._read(_UNENDED.where(sessions.c.key.in_(session_keys)))

    def of_keys(self, key_ids: Collection[str]) -> list[str]:
        """The ids of the runs that idempotency keys with these ids stand for."""
        statement = _OF_KEYS.where(idempotency_keys.c.id.in_(key_ids)).params(since=now_ms() - KEPT_MS)
        return list(self._database.read(lambda connection: connection.execute(statement).scalars().all()))

    def messages(self, run_id: str) -> Sequence[StoredMessage]:
        """What the run was asked and has said, in order, its calls of tools and their results among it."""
        statement = sql.MESSAGES_OF_RUN.params(run=run_id)
        return load_stored(self._database.read(lambda connection: connection.execute(statement).all()))

    def end_orphan(self, run: StoredRun, error_code: str, error_message: str) -> bool:
        """Mark a run of a dead worker as aborted. False if somebody has it again, or it has ended."""
        own = {"run": run.id, "own_worker": run.worker, "own_fence": run.fence}
        values = {**own, "now": now_ms(), "code": error_code, "message": error_message}

        def work(connection: Connection) -> bool:
            return connection.execute(_END_ORPHAN, values).rowcount > 0

        return self._database.write(work)

    def _read(self, statement: Select[Any]) -> list[StoredRun]:
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return [StoredRun(*row) for row in rows]


def _filtered(where: RunFilter, statement: Select[Any]) -> Select[Any]:
    """`statement` for those runs alone that meet the conditions."""
    if where.owner is not None:
        statement = statement.where(sql.SPACE.in_([space_name(where.owner)]))
    if where.session_key is not None:
        statement = statement.where(sessions.c.key == where.session_key)
    if where.outcome is not None:
        statement = statement.where(_OUTCOMES[where.outcome])
    if where.ids is not None:
        statement = statement.where(runs.c.id.in_(where.ids))
    return statement
