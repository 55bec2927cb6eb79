"""The PostgreSQL database: transactions and reads that outlast a failover of some seconds.

What fails because the server is away, or because another transaction was in the way, is tried again:

* before COMMIT was sent, nothing is stored, and all of it is done again on another connection;
* once it was sent, only the database knows. What comes with a `settled` asks it first, and is done again if
  it is not there; without one the caller is told that it is unknown;
* a violated unique constraint is tried once more: of two workers that add the same row at the same moment,
  the second one finds it then.

Each attempt ends by a deadline on our side, too: a server that stands still holds nobody longer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Boolean, ClauseElement, Connection, func, or_, select
from sqlalchemy.exc import DBAPIError

from app.concurrency.native_thread import NativeThread
from app.errors import StorageUnavailable
from app.storage.base import PreparedStatement, Row
from app.storage.postgres import failures
from app.storage.postgres.attempts import Read, Write
from app.storage.postgres.connect import SCAN_SECONDS, STATEMENT_SECONDS, Connector
from app.storage.postgres.failures import ReportingFailures
from app.storage.postgres.migrate import migrate
from app.storage.postgres.patience import Patience
from app.storage.postgres.pool import MAX_CONNECTIONS, Pool, close
from app.storage.postgres.prepared import Prepared, driver_of

R = TypeVar("R")
Work = Write[R] | Read[R]

PING_SECONDS = 2.0

_IS_READ_ONLY = Prepared(
    select(or_(func.pg_is_in_recovery(), func.current_setting("transaction_read_only").cast(Boolean)))
)


class PostgresDatabase:
    """Implements `Database`. One per process. Building it opens nothing, so that may come before a fork."""

    def __init__(self, url: str, most: int = MAX_CONNECTIONS) -> None:
        self._connector = Connector(url)
        self._pool = Pool(self._connect, most)
        # Before and after our start, of a database that is known to have the newest tables.
        self._versions: tuple[str | None, str] | None = None
        # Used inside the native thread alone, but for opening.
        self._scan_thread = NativeThread()
        self._scanner: Connection | None = None
        self._scanner_lock = threading.Lock()

    def prepare(self, statement: ClauseElement) -> PreparedStatement:
        """`statement` as PostgreSQL's text. Opens nothing."""
        return Prepared(statement)

    def write(
        self,
        fn: Callable[[Connection], R],
        *,
        bulky: bool = False,
        patient: bool = False,
        alone: str | None = None,
        settled: Callable[[Connection], R | None] | None = None,
    ) -> R:
        """Run `fn` in a transaction of its own, and return what it returns: all of it is stored, or nothing.

        `fn` may run more than once: it must touch nothing but the connection. A `bulky` one may take as long
        as it likes, as long as each statement ends in time.
        """
        seconds = STATEMENT_SECONDS + PING_SECONDS if bulky else None
        return self._until_it_works(Write(fn, alone, settled), Patience(patient=patient), seconds)

    def read(self, fn: Callable[[Connection], R], *, patient: bool = False) -> R:
        """Run `fn`, which only reads and fetches all rows it wants, and return what it returns."""
        return self._until_it_works(Read(fn), Patience(patient=patient))

    def rows(
        self, statement: PreparedStatement, values: Mapping[str, Any], *, patient: bool = False
    ) -> list[Row]:
        """The rows of a SELECT that was prepared."""
        assert statement.only_reads
        return self.read(partial(statement.all, values=values), patient=patient)

    def scan(self, fn: Callable[[Connection], R]) -> R:
        """Run `fn`, which only reads, and may read a lot, in a thread of its own: nothing else waits."""
        patience = Patience(patient=False)
        # The tables are there, and the server answers: of the scan itself that is known late.
        self.read(lambda connection: _IS_READ_ONLY.all(connection, {}))
        with ReportingFailures():
            while True:
                try:
                    return self._scan_thread.call(_scan, self._open_scanner(), fn)
                except DBAPIError as error:
                    if not failures.is_lost(error):
                        raise
                    self._close_scanner()
                    if patience.is_over:
                        raise
                patience.pause()

    def ping(self) -> None:
        """Raise `StorageUnavailable` unless something can be written now. Tries once."""
        with ReportingFailures(), self._pool.connection(time.monotonic() + PING_SECONDS) as connection:
            if _IS_READ_ONLY.all(connection, {}) != [(False,)]:
                raise StorageUnavailable(failures.AWAY, retry_after=failures.RETRY_SECONDS)

    def migrate(self) -> tuple[str | None, str]:
        """Bring the tables to the newest version: the version there was, None for no tables, and that one."""
        self._pool.close_idle()
        self._versions = None
        self.read(lambda _: None, patient=True)
        assert self._versions is not None
        return self._versions

    def close(self) -> None:
        """Close the connections that are not in use. Others are opened when it is used again."""
        self._pool.close_idle()
        self._close_scanner()
        self._scan_thread.close()

    def _until_it_works(self, work: Work[R], patience: Patience, seconds_each: float | None = None) -> R:
        with ReportingFailures():
            while True:
                try:
                    with self._pool.connection(patience.deadline, seconds_each) as connection:
                        return work(connection)
                except DBAPIError as error:
                    if not self._may_help(error, work, patience):
                        raise
                patience.pause()

    def _may_help(self, error: DBAPIError, work: Work[Any], patience: Patience) -> bool:
        """Whether to try again after this failure. Raises StorageUnavailable: it must not be tried again."""
        state = failures.state_of(error)
        if state == failures.UNIQUE:
            return work.may_collide()
        if state == failures.NO_TABLE:  # the database was replaced
            self._versions = None
        elif not failures.passes(error):
            return False
        if not failures.is_beaten(error):
            self._pool.close_idle()
        if work.is_unknown:
            failures.report(error)
            raise StorageUnavailable(failures.UNKNOWN) from None
        return not patience.is_over

    def _connect(self, deadline: float) -> Connection:
        connection = self._connector.connect(deadline)
        if self._versions is None:
            try:
                self._versions = migrate(connection)
            except BaseException:
                close(connection)
                raise
        return connection

    def _open_scanner(self) -> Connection:
        with self._scanner_lock:
            if self._scanner is None:
                self._scanner = self._connector.connect_scanner()
            return self._scanner

    def _close_scanner(self) -> None:
        with self._scanner_lock:
            scanner, self._scanner = self._scanner, None
        if scanner is not None:
            self._scan_thread.call(close, scanner)


def _scan(scanner: Connection, fn: Callable[[Connection], R]) -> R:
    driver_of(scanner).deadline = time.monotonic() + SCAN_SECONDS + PING_SECONDS
    return Read(fn)(scanner)
