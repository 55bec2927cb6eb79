"""What became of a run: for those who ask again, when no process remembers it any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import and_, bindparam, select

from app.clock import now_ms
from app.messages import Usage
from app.sessions import statements as sql
from app.sessions.bound_keys import KEPT_MS
from app.sessions.remembered import BoundRun, RememberedRun
from app.sessions.rows import load_stored
from app.storage.base import Database, Worker
from app.storage.tables import idempotency_keys, runs, sessions

_keys = idempotency_keys.c
_BOUND = (
    select(runs.c.id, runs.c.state, runs.c.worker, runs.c.fence, _keys.body_hash, _keys.created_at)
    .join(runs, runs.c.id == _keys.run_id)
    .where(_keys.id == bindparam("key"))
)
_NAMED = (
    select(runs.c.id, runs.c.state, runs.c.worker, runs.c.fence, _keys.body_hash)
    .outerjoin(idempotency_keys, and_(_keys.id == bindparam("key"), _keys.run_id == runs.c.id))
    .where(runs.c.id == bindparam("run"))
)
_RUN = (
    select(
        runs.c.id,
        sessions.c.key,
        sessions.c.agent_id,
        runs.c.source,
        runs.c.state,
        runs.c.started_at,
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
    )
    .join(sessions, sessions.c.id == runs.c.session)
    .where(runs.c.id == bindparam("run"))
)


class SqlRunOutcomes:
    """Implements `RunOutcomes`. `clock` gives milliseconds since 1970."""

    def __init__(self, database: Database, worker: Worker, clock: Callable[[], int] = now_ms) -> None:
        self._database = database
        self._worker = worker
        self._clock = clock
        self._named = database.prepare(_NAMED)

    def bound(self, key_id: str) -> BoundRun | None:
        """The run that the key is bound to; None for an unknown or old key, and one whose run is gone."""
        found = self._database.read(lambda connection: connection.execute(_BOUND, {"key": key_id}).first())
        if found is None or found.created_at <= self._clock() - KEPT_MS:
            return None
        return BoundRun(*found[:4], body_hash=found.body_hash)

    def named(self, run_id: str, key_id: str | None = None) -> BoundRun | None:
        """The run of that id; with its `body_hash` if that key is bound to it."""
        rows = self._database.rows(self._named, {"run": run_id, "key": key_id})
        return BoundRun(*rows[0]) if rows else None

    def is_own(self, run: BoundRun) -> bool:
        """Whether the run is this worker's."""
        return run.worker == self._worker.id

    def is_left(self, run: BoundRun) -> bool:
        """Whether the worker that has the run is dead."""
        return not self._worker.is_alive(run.worker)

    def run(self, run_id: str) -> RememberedRun | None:
        """All that is stored of a run; None for an unknown one."""

        def work(connection: Any) -> tuple[Any, list[Any]]:
            row = connection.execute(_RUN, {"run": run_id}).first()
            return row, connection.execute(
                sql.MESSAGES_OF_RUN, {"run": run_id}
            ).all() if row is not None else []

        row, rows = self._database.read(work)
        if row is None:
            return None
        prompt, completion, cached, reasoning, estimated = row[11:]
        usage = None
        if prompt is not None:
            usage = Usage(prompt, completion or 0, cached or 0, reasoning or 0, bool(estimated))
        return RememberedRun._make((*row[:11], usage, tuple(load_stored(rows))))
