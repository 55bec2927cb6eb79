"""Where runs stand in their sessions' queues: a session's queue is its runs that have not ended, in order."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from app.clock import now_ms
from app.messages import Usage
from app.sessions import statements as sql
from app.sessions.stored import LeftRun, RunPlace
from app.storage.base import Database, Worker, nothing_settled
from app.storage.message_json import load_message


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

    def give_up(self, run_id: str, fence: int = 1) -> bool:
        """Let another worker go on with the run. False if nobody else may, or it is not ours any more."""
        values = self._own(run_id, fence)
        return self._database.write(
            lambda connection: connection.execute(sql.GIVE_UP_RUN, values).one_or_none() is not None
        )

    def keep(self, run_id: str, fence: int = 1) -> bool:
        """From now on nobody else may go on with the run. False if it is not ours any more."""
        values = self._own(run_id, fence)
        return self._database.write(
            lambda connection: connection.execute(sql.KEEP_RUN, values).one_or_none() is not None,
            settled=nothing_settled,
        )

    def left(self, run_id: str) -> LeftRun:
        """What is stored of a run that has not ended: for the worker that goes on with it."""

        def work(connection: Connection) -> LeftRun:
            rows = connection.execute(sql.OWN_MESSAGES, {"run": run_id}).all()
            found = [(load_message(role, content), state) for role, content, state in rows]
            known = connection.execute(sql.KNOWN_OF_RUN, {"run": run_id}).one_or_none()
            model, prompt, completion, cached, reasoning, estimated = known or (None,) * 6
            tokens = (prompt or 0, completion or 0, cached or 0, reasoning or 0)
            return LeftRun(
                tuple(message for message, state in found if state != "step"),
                tuple((message, state) for message, state in found if state == "step"),
                Usage(*tokens, bool(estimated)),
                model,
            )

        return self._database.read(work, patient=True)

    def _own(self, run_id: str, fence: int) -> dict[str, Any]:
        """What the conditions of a run's writes compare.

        While the database is away nobody can say whether we are still alive for the others; the conditions
        will, when it is back.
        """
        return {"run": run_id, "own_worker": self._worker.last_id, "own_fence": fence}
