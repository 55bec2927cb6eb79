"""The upkeep of stored sessions: runs of dead workers, sessions that are old or too many."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, or_, select

from app.clock import now_ms
from app.sessions.statements import SPACE
from app.storage.base import Database, Worker
from app.storage.tables import runs, sessions

MAX_PRUNED_AT_ONCE = 50  # sessions in one transaction, so that no other write waits long

_WORKERS_WITH_RUNS = select(runs.c.worker).where(runs.c.state == "running").distinct()
_INTERRUPT = (
    runs.update()
    .where(runs.c.worker == bindparam("dead_worker"), runs.c.state == "running")
    .values(state="interrupted", ended_at=bindparam("now"))
)
# From the newest of each owner's, counted from 1: a user cannot push out the sessions of another.
_PLACES = select(
    sessions.c.id,
    func.row_number()
    .over(partition_by=SPACE, order_by=(sessions.c.updated_at.desc(), sessions.c.id.desc()))
    .label("place"),
).subquery()
_STALE = (
    select(sessions.c.id)
    .where(
        or_(
            sessions.c.updated_at < bindparam("before"),
            sessions.c.id.in_(select(_PLACES.c.id).where(_PLACES.c.place > bindparam("keep"))),
        ),
        ~select(runs.c.id).where(runs.c.session == sessions.c.id, runs.c.state == "running").exists(),
    )
    .limit(bindparam("batch"))
)
_DELETE = sessions.delete().where(sessions.c.id == bindparam("session"))


class SqlMaintenance:
    """Implements `Maintenance`."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker

    def interrupt_orphans(self) -> int:
        """Mark the running runs of dead workers as interrupted. Returns how many there were."""
        return self._database.write(self._interrupt_orphans, bulky=True)

    def prune(self, now: float, prune_after: float, max_entries: int) -> int:
        """Delete sessions unused for `prune_after` seconds, and the oldest beyond an owner's `max_entries`.

        A session with a run going on stays. `now` is in seconds since 1970. Returns how many were deleted.
        """
        limits = {
            "before": int((now - prune_after) * 1000),
            "keep": max_entries,
            "batch": MAX_PRUNED_AT_ONCE,
        }

        def work(connection: Connection) -> int:
            self._interrupt_orphans(connection)
            stale = connection.execute(_STALE, limits).scalars().all()
            if stale:
                connection.execute(_DELETE, [{"session": session} for session in stale])
            return len(stale)

        deleted = 0
        while batch := self._database.write(work, bulky=True):
            deleted += batch
        return deleted

    def ping(self) -> None:
        """Raise StorageUnavailable unless something can be stored now."""
        self._database.ping()

    def _interrupt_orphans(self, connection: Connection) -> int:
        workers = connection.execute(_WORKERS_WITH_RUNS).scalars().all()
        dead = [one for one in workers if not self._worker.is_alive(one)]
        ended = [connection.execute(_INTERRUPT, {"dead_worker": one, "now": now_ms()}) for one in dead]
        return sum(result.rowcount for result in ended)
