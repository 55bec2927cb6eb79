"""Which workers are alive, where all they share is a database: each renews a row, by the database's clock.

    workers   7f3c…   expires_at 12:00:10        renewed every 3 s; a dead worker's is 10 s old at most

A worker whose row has expired is dead once another worker has removed the row: in the same transaction that
takes its runs over. Until then it may renew the row, however late, so that an outage of the database in which
nobody could renew costs nobody anything. From then on nothing it writes is stored (`runs.fence`); it finds
that out at its next renewal, stops its runs, and goes on under a new name.

No clock of a host counts. The database's clock dates the rows. How long a worker may rely on its own row it
knows by its monotonic clock, from before it asked for the renewal, so it never relies on it for too long. A
row that is dated further ahead than any renewal dates it, as after the database's clock was set back, is as
good as expired. And a worker that has not renewed its own row regularly of late, or has seen the database's
clock jump, calls nobody dead until all leases of before are over: after an outage all have time to renew.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, bindparam, cast, func, not_, select

from app.errors import LeaseLost, StorageUnavailable
from app.logs.lines import log_event
from app.storage.base import Database, Stop, nothing_settled
from app.storage.postgres.database import PostgresDatabase
from app.storage.tables import workers

logger = logging.getLogger("app.storage")

LEASE_SECONDS = 10.0
RENEW_SECONDS = 3.0
RETRY_SECONDS = 0.5  # after a renewal that failed because the database was away
MARGIN_SECONDS = 2.5  # before its end a lease does not count any more for the one who holds it
STEADY_SECONDS = LEASE_SECONDS  # of regular renewals, before a worker calls others dead
MAX_DRIFT_SECONDS = 2.0  # of the database's clock against ours between two renewals; less than the margin

DATABASE_TIME: ColumnElement[int] = cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)

LOST = (
    "The gateway's worker was out of touch with the database for too long, and the run was taken from it. "
    "What it has done so far is stored; send the request again."
)


class WorkerLease:
    """Implements `Worker`. The name is taken at first use (after a fork), and a new one when it was lost.

    `now` is the database's own clock in milliseconds, as a part of a statement; `clock` the monotonic one of
    this process in seconds.
    """

    def __init__(
        self,
        database: Database,
        now: ColumnElement[int] = DATABASE_TIME,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.RLock()
        self._listeners: list[Callable[[], object]] = []
        self._id: str | None = None
        self._pid: int | None = None
        self._valid_until = 0.0
        self._renewed_at = 0.0
        self._steady_since = 0.0
        self._database_time = 0  # at the last renewal
        lease = int(LEASE_SECONDS * 1000)
        is_valid = and_(workers.c.expires_at > now, workers.c.expires_at <= now + 2 * lease)
        dates = {"started_at": now, "expires_at": now + lease}
        names: dict[str, Any] = {name: bindparam(name) for name in ("id", "host", "pid")}
        self._add = workers.insert().values({**names, **dates}).returning(now)
        mine = workers.c.id == bindparam("own_id")
        self._renew = workers.update().where(mine).values(expires_at=now + lease).returning(now)
        self._remove = workers.delete().where(mine)
        among = workers.c.id.in_(bindparam("among", expanding=True))
        self._alive = select(workers.c.id).where(among, is_valid)
        self._bury = workers.delete().where(among, not_(is_valid))
        self._kept = select(workers.c.id).where(among)
        self._bury_all = workers.delete().where(not_(is_valid), workers.c.id != bindparam("own_id"))

    @property
    def id(self) -> str:
        """The name that marks this process's runs. Raises StorageUnavailable: others may count it as dead."""
        known = self._id
        if known is not None and self._pid == os.getpid() and not self._is_late:
            return known
        with self._lock:
            if self._id is None or self._pid != os.getpid():
                self._take()
            elif self._is_late:
                with suppress(LeaseLost):
                    self._renew_now()
                if self._id is None:
                    self._take()
            assert self._id is not None
            return self._id

    @property
    def last_id(self) -> str:
        """The name it has, or had last, if others may count it as dead."""
        known = self._id
        return known if known is not None and self._pid == os.getpid() else self.id

    def check(self) -> None:
        """Raise LeaseLost if others count this process as dead, or may do so and the database cannot say.

        Asks the database only if the last renewal is too long ago.
        """
        with self._lock:
            if self._id is None:
                raise LeaseLost(LOST)
            if self._is_late:
                self._renew_now()

    def is_alive(self, worker_id: str) -> bool:
        """Whether the process of that name still runs, or has ended so lately that nobody can tell."""
        return not self.dead((worker_id,))

    def dead(self, among: Collection[str]) -> list[str]:
        """Those of the names `among` whose rows are gone, or have expired as far as we can tell."""
        others = [name for name in among if name != self._id]
        if not others:
            return []
        statement = self._alive if self._is_steady else self._kept
        found = self._database.read(
            lambda connection: connection.execute(statement, {"among": others}).scalars().all()
        )
        return [name for name in others if name not in found]

    def bury(self, connection: Connection, among: Collection[str]) -> list[str]:
        """Those of `among` that are dead, and cannot renew any more once the transaction is stored."""
        others = [name for name in among if name != self._id]
        if others and self._may_bury(connection):
            connection.execute(self._bury, {"among": others})
        kept = () if not others else connection.execute(self._kept, {"among": others}).scalars().all()
        return [name for name in others if name not in kept]

    def when_lost(self, listener: Callable[[], object]) -> None:
        """Call `listener` each time the lease was lost. It must not wait."""
        self._listeners.append(listener)

    def run(self, stop: Stop) -> None:
        """Renew the row until `stop` is set."""
        pause = 0.0
        while not stop.wait(pause):
            pause = RENEW_SECONDS
            try:
                self.renew()
            except StorageUnavailable:
                pause = RETRY_SECONDS  # the database has said in the log what is wrong
            except LeaseLost:
                pause = 0.0  # a new name, at once

    def renew(self) -> None:
        """Renew the row, or take a name. Raises LeaseLost and StorageUnavailable."""
        with self._lock:
            if self._id is None or self._pid != os.getpid():
                self._take()
            else:
                self._renew_now()

    def remove_stale(self) -> int:
        """Remove the rows of dead workers. Returns how many there were."""
        own = {"own_id": self._id}

        def work(connection: Connection) -> int:
            return connection.execute(self._bury_all, own).rowcount if self._may_bury(connection) else 0

        return self._database.write(work, settled=lambda _: None)

    def close(self) -> None:
        """Give the name up: others need not wait for the row's end."""
        with self._lock:
            own, self._id = self._id, None
            if own is None or self._pid != os.getpid():
                return
        with suppress(StorageUnavailable):
            self._database.write(lambda connection: connection.execute(self._remove, {"own_id": own}))

    @property
    def _is_late(self) -> bool:
        return self._clock() >= self._valid_until - MARGIN_SECONDS

    @property
    def _is_steady(self) -> bool:
        now = self._clock()
        return now - self._steady_since >= STEADY_SECONDS and now - self._renewed_at <= 2 * RENEW_SECONDS

    def _may_bury(self, connection: Connection) -> bool:
        """Whether we renew regularly, and our own row says so: its clock has not jumped since."""
        own = {"among": [self._id]}
        return self._is_steady and connection.execute(self._alive, own).scalar() is not None

    def _take(self) -> None:
        asked_at = self._clock()
        row = {"id": str(uuid.uuid4()), "host": socket.gethostname(), "pid": os.getpid()}
        database_time = self._database.write(
            lambda connection: int(connection.execute(self._add, row).scalar_one())
        )
        self._id, self._pid = str(row["id"]), os.getpid()
        self._steady_since = asked_at
        self._note(asked_at, database_time)

    def _renew_now(self) -> None:
        asked_at, own = self._clock(), {"own_id": self._id}
        database_time = self._database.write(
            lambda connection: connection.execute(self._renew, own).scalar(), settled=nothing_settled
        )
        if database_time is None:
            self._lose()
            raise LeaseLost(LOST)
        passed = asked_at - self._renewed_at
        drift = (database_time - self._database_time) / 1000 - passed
        if passed > 2 * RENEW_SECONDS or abs(drift) > MAX_DRIFT_SECONDS:
            self._steady_since = asked_at
        self._note(asked_at, database_time)

    def _note(self, asked_at: float, database_time: int) -> None:
        self._renewed_at, self._database_time = asked_at, database_time
        self._valid_until = asked_at + LEASE_SECONDS

    def _lose(self) -> None:
        lost, self._id = self._id, None
        log_event(logger, logging.ERROR, "this worker's lease was lost: its runs are stopped", worker=lost)
        for listener in list(self._listeners):
            listener()


def build(url: str) -> tuple[PostgresDatabase, WorkerLease]:
    """The database, and this process as one that uses it. Opens nothing."""
    database = PostgresDatabase(url)
    return database, WorkerLease(database)
