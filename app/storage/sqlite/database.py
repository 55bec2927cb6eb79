"""The database: transactions for writing, statements for reading, and nobody waits on the event loop.

SQLite waits inside C, where it would stop every greenlet: for other processes that write, and for the
disk when it checkpoints. What needs no waiting (all reads, and nearly all writes) is done on the spot, in
about 0.1 ms; the rest goes to one native thread.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import ClauseElement, Connection
from sqlalchemy.exc import DBAPIError

from app.concurrency.native_thread import NativeThread
from app.storage.base import PreparedStatement, Row
from app.storage.sqlite import connect as sqlite
from app.storage.sqlite.failures import ReportingFailures, is_locked
from app.storage.sqlite.fair_lock import FairLock
from app.storage.sqlite.migrate import migrate
from app.storage.sqlite.prepared import Prepared

R = TypeVar("R")
FileId = tuple[int, int]

log = logging.getLogger(__name__)

NOTICEABLE = 0.5  # seconds
CHECKPOINT_EVERY = 250  # quick writes; some 4 MB of log


class SqliteDatabase:
    """One per process. Opens nothing until the first use, so that it can be built before a fork."""

    def __init__(self, url: str) -> None:
        self._path = sqlite.database_path(url)
        self._native_thread = NativeThread()
        self._prepared: FileId | None = None
        self._patient_writer = _Line(self._path, sqlite.connect_writer)  # the thread's own
        self._quick_writer = _Line(self._path, sqlite.connect_quick_writer)
        self._writing = FairLock()
        self._quick_work = threading.Lock()
        self._quick_writes = 0
        self._reader = _Line(self._path, sqlite.connect_reader)
        self._reading = threading.Lock()

    @property
    def directory(self) -> Path:
        """Where the file is, and where its neighbours may be."""
        return self._path.parent

    def prepare(self, statement: ClauseElement) -> PreparedStatement:
        """`statement` as SQLite's text. Opens nothing."""
        return Prepared(statement)

    def write(self, fn: Callable[[Connection], R], *, bulky: bool = False) -> R:
        """Run `fn` in a transaction of its own: all of it is stored, or nothing. First come first served.

        `fn` may run in another thread, and once more if the database was locked: it must touch nothing
        but the connection. `bulky`: it has so much to do that it should not even be tried on the spot.
        """
        asked_at = time.monotonic()
        with ReportingFailures(), self._writing:
            if not bulky:
                try:
                    return self._write_quickly(fn)
                except DBAPIError as error:
                    if not is_locked(error):
                        raise
            return self._native_thread.call(self._write_patiently, fn, asked_at)

    def read(self, fn: Callable[[Connection], R]) -> R:
        """Run `fn`, which must only read, fetch all it wants and be quick."""
        with ReportingFailures():
            try:
                with self._reading, self._reader.on(self._file()) as connection:
                    return fn(connection)
            except DBAPIError as error:
                if not is_locked(error):
                    raise
            # Seldom: another process is just recovering the file.
            return self._native_thread.call(self._write_patiently, fn, time.monotonic())

    def rows(self, statement: PreparedStatement, values: Mapping[str, Any]) -> list[Row]:
        """What a statement that only reads finds. Quicker than `read`: the connection of the last quick
        write still has the pages at hand, which any write makes the reader's fetch anew."""
        assert statement.only_reads
        with ReportingFailures():
            try:
                with self._quick_work, self._quick_writer.on(self._file()) as connection:
                    return statement.all(connection, values)
            except DBAPIError as error:
                if not is_locked(error):
                    raise
        return self.read(partial(statement.all, values=values))

    def ping(self) -> None:
        """Raise `StorageUnavailable` unless something can be written now."""
        self.write(lambda connection: sqlite.probe(connection, time.monotonic_ns() // 1000))

    def close(self) -> None:
        """Close the file. It opens again when it is used again."""
        with self._reading:
            self._reader.close()
        with self._writing:
            with self._quick_work:
                self._quick_writer.close()
            self._native_thread.call(self._patient_writer.close)
        self._native_thread.close()

    def _write_quickly(self, fn: Callable[[Connection], R]) -> R:
        with self._quick_work, self._quick_writer.on(self._file()) as connection, connection.begin():
            result = fn(connection)
        self._quick_writes += 1
        if self._quick_writes % CHECKPOINT_EVERY == 0:
            self._native_thread.call(self._checkpoint)
        return result

    def _write_patiently(self, fn: Callable[[Connection], R], asked_at: float) -> R:
        with (
            self._patient_writer.on(self._prepare()) as connection,
            _patience(connection, time.monotonic() - asked_at),
            connection.begin(),
        ):
            return fn(connection)

    def _checkpoint(self) -> None:
        try:
            with self._patient_writer.on(self._prepare()) as connection:
                sqlite.checkpoint(connection)
        except DBAPIError as error:
            # What was to be stored is stored; the next checkpoint does the work of this one.
            log.warning("session database: checkpoint failed: %s", error.orig)

    def _file(self) -> FileId:
        """Which file is in use, ready for use."""
        found = _identify(self._path)
        if found is not None and found == self._prepared:
            return found
        return self._native_thread.call(self._prepare)

    def _prepare(self) -> FileId:
        found = _identify(self._path)
        if found is None or found != self._prepared:
            if self._prepared is not None:
                log.warning("session database: the file was removed or replaced while in use")
                self._patient_writer.close()
            sqlite.make_file(self._path)
            migrate(self._path)
            found = self._prepared = _identify(self._path)
        assert found is not None
        return found


class _Line:
    """A connection that is opened when it is used, and anew when it failed or the file is another one."""

    def __init__(self, path: Path, connect: Callable[[Path], Connection]) -> None:
        self._path = path
        self._connect = connect
        self._connection: Connection | None = None
        self._file: FileId | None = None

    def on(self, file: FileId) -> _Line:
        """Open, for a `with` block, which is handed the connection. One block at a time."""
        if self._connection is None or self._file != file:
            self.close()
            self._connection, self._file = self._connect(self._path), file
        return self

    def __enter__(self) -> Connection:
        assert self._connection is not None
        return self._connection

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, DBAPIError) and not is_locked(error):
            self.close()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@contextmanager
def _patience(connection: Connection, waited: float) -> Iterator[None]:
    """Count the time spent behind other writes, or each would add its own to those who wait behind it."""
    if waited < NOTICEABLE:
        yield
        return
    sqlite.set_patience(connection, max(0.0, sqlite.BUSY_TIMEOUT - waited))
    try:
        yield
    finally:
        sqlite.set_patience(connection, sqlite.BUSY_TIMEOUT)


def _identify(path: Path) -> FileId | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
