"""Where runs stand in their sessions' queues: a session's queue is its runs that have not ended, in order."""

from __future__ import annotations

from typing import Any

from app.clock import now_ms
from app.sessions import statements as sql
from app.sessions.stored import RunPlace
from app.storage.base import Database, Worker, nothing_settled


class SqlRunPlaces:
    """The part of `RunStore` that looks at the queue."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker
        self._begin_run = database.prepare(sql.BEGIN_RUN)
        self._standing = database.prepare(sql.STANDING_OF_RUN)
        self._unended = database.prepare(sql.UNENDED_OF_SESSION)

    def begin(self, run_id: str, fence: int = 1) -> bool:
        """Store that the run has left its queue. False if nothing was stored."""
        values = {**self._own(run_id, fence), "now": now_ms()}
        return self._database.write(
            lambda connection: self._begin_run.one_or_none(connection, values) is not None,
            patient=True,
            settled=nothing_settled,
        )

    def place(self, run_id: str, fence: int = 1) -> RunPlace | None:
        """Where the run stands now; None if it is not there any more."""
        rows = self._database.rows(self._standing, {"run": run_id})
        if not rows:
            return None
        state, worker, its_fence, before = rows[0]
        is_own = state == "running" and (worker, its_fence) == (self._worker.id, fence)
        return RunPlace(state, is_own, before)

    def unended(self, session_key: str) -> list[str]:
        """The ids of the session's runs that have not ended, in their order, whichever worker has them."""
        return [run_id for (run_id,) in self._database.rows(self._unended, {"key": session_key})]

    def _own(self, run_id: str, fence: int) -> dict[str, Any]:
        """What the conditions of a run's writes compare.

        While the database is away nobody can say whether we are still alive for the others; the conditions
        will, when it is back.
        """
        return {"run": run_id, "own_worker": self._worker.last_id, "own_fence": fence}
