"""The upkeep of stored sessions: runs of dead workers, sessions that are old or too many."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable

from sqlalchemy import Connection, and_, bindparam, case, false, func, or_, select, true

from app.sessions import bound_keys
from app.sessions import statements as sql
from app.sessions.orphans import ALONE, Decide, SqlOrphans, TakenOver, leave_resumable
from app.sessions.retention import SqlRetention
from app.sessions.upkeep import Pruned
from app.storage.base import Database, Worker
from app.storage.tables import runs, sessions

HIDDEN_SECONDS = 24 * 3600  # how long a run is kept that needs no session of its own
MAX_HIDDEN = 20_000  # of such runs that are kept for one owner
MAX_PRUNED_AT_ONCE = 50  # sessions in one transaction, so that no other write waits long

# From the newest of each owner's, counted from 1: a user cannot push out the sessions of another.
_PLACES = select(
    sessions.c.id,
    func.row_number()
    .over(
        partition_by=(sql.SPACE, sessions.c.hidden),
        order_by=(sessions.c.updated_at.desc(), sessions.c.id.desc()),
    )
    .label("place"),
    sessions.c.hidden,
).subquery()
_WHY = case(
    (sessions.c.hidden.is_(true()), "hidden"),
    (sessions.c.updated_at < bindparam("before"), "age"),
    else_="count",
).label("why")
_HAS_RUN = select(runs.c.id).where(runs.c.session == sessions.c.id, runs.c.state == "running").exists()
_STALE = (
    select(sessions.c.id, sessions.c.updated_at, _WHY)
    .where(
        or_(
            sessions.c.updated_at < bindparam("before"),
            and_(sessions.c.hidden.is_(true()), sessions.c.updated_at < bindparam("hidden_before")),
            sessions.c.id.in_(
                select(_PLACES.c.id).where(
                    or_(
                        and_(_PLACES.c.hidden.is_(false()), _PLACES.c.place > bindparam("keep")),
                        and_(_PLACES.c.hidden.is_(true()), _PLACES.c.place > bindparam("keep_hidden")),
                    )
                )
            ),
        ),
        ~_HAS_RUN,
    )
    .limit(bindparam("batch"))
    .with_for_update(skip_locked=True)
)
# Looks again: a run may have been accepted, in another worker, before the session's row was locked.
_DELETE = sessions.delete().where(
    sessions.c.id == bindparam("session"), sessions.c.updated_at == bindparam("seen"), ~_HAS_RUN
)


class SqlMaintenance:
    """Implements `Maintenance`."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._orphans = SqlOrphans(database, worker)
        self.retention = SqlRetention(database, worker)

    def take_over(self, decide: Decide) -> TakenOver:
        """Take some of the runs of dead workers over, or interrupt them, as `decide` says. Cheap if there are
        none.
        """
        return self._orphans.take_over(decide)

    def interrupt_orphans(self) -> int:
        """Mark the running runs of dead workers as interrupted. Returns how many there were."""
        total = 0
        while interrupted := self._orphans.take_over().interrupted:
            total += interrupted
        return total

    def interrupt_forgotten(self, is_known: Callable[[str], bool]) -> int:
        """See `SqlOrphans.interrupt_forgotten`."""
        return self._orphans.interrupt_forgotten(is_known)

    def prune(self, now: float, prune_after: float, max_entries: int, seconds: float = math.inf) -> Pruned:
        """Delete sessions unused for `prune_after` seconds, and the oldest beyond an owner's `max_entries`.

        A session with a run going on stays. `now` is in seconds since 1970. Goes on for about `seconds`.
        """
        limits = {
            "before": int((now - prune_after) * 1000),
            "hidden_before": int((now - HIDDEN_SECONDS) * 1000),
            "keep": max_entries,
            "keep_hidden": MAX_HIDDEN,
            "batch": MAX_PRUNED_AT_ONCE,
        }

        def work(connection: Connection) -> Counter[str]:
            marks: dict[str, list[dict[str, int]]] = defaultdict(list)
            for session, updated_at, why in connection.execute(_STALE, limits).all():
                marks[why].append({"session": session, "seen": updated_at})
            deleted = {why: connection.execute(_DELETE, found).rowcount for why, found in marks.items()}
            return Counter(deleted)

        self._orphans.take_over(leave_resumable)
        until, deleted = time.monotonic() + seconds, Counter[str]()
        while (batch := self._database.write(work, bulky=True, alone=ALONE)).total():
            deleted += batch
            if time.monotonic() >= until:
                return _pruned(deleted, is_done=False)
        while self._database.write(
            lambda connection: bound_keys.prune(connection, now), bulky=True, alone=ALONE
        ):
            pass
        return _pruned(deleted, is_done=True)

    def ping(self) -> None:
        """Raise StorageUnavailable unless something can be stored now."""
        self._database.ping()


def _pruned(deleted: Counter[str], *, is_done: bool) -> Pruned:
    return Pruned(deleted["age"], deleted["count"], deleted["hidden"], is_done)
