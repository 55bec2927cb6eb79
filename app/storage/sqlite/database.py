"""The SQLite database: transactions for writing, statements for reading, and no wait on the event loop.

SQLite waits inside C, where it would stop every greenlet of the worker: for another process that writes, and
for the disk at a checkpoint. Nearly always there is nothing to wait for, and then a native thread would cost
more than the write itself, some 0.1 ms. So there are two connections that write:

* The *non-blocking* writer runs on the caller's greenlet. It has no busy timeout and makes no checkpoints. If
  another process holds the lock, it fails at once and has changed nothing.
* The *blocking* writer runs in one native thread, where it waits for the lock up to BUSY_TIMEOUT. It takes
  what the non-blocking writer was refused, transactions with a lot to do (`bulky`), and the checkpoints.

Two writes A and B while another process holds the lock for 30 ms: A takes `_write_order`, is refused, and
waits in the native thread; B waits for `_write_order`, which lets other greenlets run; A is stored, then B,
on the spot. The order of the calls is the order of the transactions, and so of the runs in a session.

One more connection only reads. It never waits for a writer, because the journal is a write-ahead log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ClauseElement, Connection
from sqlalchemy.exc import DBAPIError

from app.concurrency.native_thread import NativeThread
from app.logs.lines import log_event
from app.storage.base import PreparedStatement, Row
from app.storage.sqlite import connect as sqlite
from app.storage.sqlite.failures import ReportingFailures, is_locked
from app.storage.sqlite.fair_lock import FairLock
from app.storage.sqlite.migrate import migrate
from app.storage.sqlite.prepared import Prepared
from app.storage.sqlite.reopening import FileId, ReopeningConnection, identify
from app.storage.url import sqlite_file

R = TypeVar("R")

logger = logging.getLogger("app.storage")

MIN_COUNTED_WAIT = 0.5  # seconds behind other writes; less is not taken off a write's own time to wait
CHECKPOINT_EVERY = 250  # writes of the non-blocking writer; some 4 MB of log


class SqliteDatabase:
    """Implements `Database`. One per process. Building it opens nothing, so that may come before a fork."""

    def __init__(self, url: str) -> None:
        self._path = sqlite_file(url)
        self._name = str(self._path)
        self._native_thread = NativeThread()
        self._ready: FileId | None = None  # the file that is known to have the newest tables
        # Used inside the native thread alone.
        self._blocking_writer = ReopeningConnection(self._path, sqlite.connect_writer)
        self._nonblocking_writer = ReopeningConnection(self._path, sqlite.connect_nonblocking_writer)
        self._write_order = FairLock()
        self._nonblocking_lock = threading.Lock()
        self._nonblocking_writes = 0
        self._reader = ReopeningConnection(self._path, sqlite.connect_reader)
        self._reader_lock = threading.Lock()
        # Used inside the other native thread alone.
        self._scan_thread = NativeThread()
        self._scanner = ReopeningConnection(self._path, sqlite.connect_reader)

    @property
    def directory(self) -> Path:
        """The directory of the file, where other files of the same gateway may be."""
        return self._path.parent

    def prepare(self, statement: ClauseElement) -> PreparedStatement:
        """`statement` as SQLite's text. Opens nothing."""
        return Prepared(statement)

    def write(
        self,
        fn: Callable[[Connection], R],
        *,
        bulky: bool = False,
        patient: bool = False,  # noqa: ARG002
        alone: str | None = None,  # noqa: ARG002
        settled: Callable[[Connection], R | None] | None = None,  # noqa: ARG002
    ) -> R:
        """Run `fn` in a transaction of its own, and return what it returns: all of it is stored, or nothing.

        Transactions run in the order of the calls. `fn` may run in the native thread, and a second time if
        the database was locked: it must touch nothing but the connection. `bulky` goes to the thread at once.
        The rest makes no difference: a file is not away, there is one transaction at a time, and its end is
        never unknown.
        """
        asked_at = time.monotonic()
        with ReportingFailures(), self._write_order:
            if not bulky:
                try:
                    return self._write_nonblocking(fn)
                except DBAPIError as error:
                    if not is_locked(error):
                        raise
            return self._native_thread.call(self._write_blocking, fn, asked_at)

    def read(self, fn: Callable[[Connection], R], *, patient: bool = False) -> R:  # noqa: ARG002
        """Run `fn`, which only reads and fetches all rows it wants, and return what it returns.

        It runs on the event loop: it must be quick.
        """
        with ReportingFailures():
            try:
                with self._reader_lock, self._reader.opened(self._ready_file()) as connection:
                    return fn(connection)
            except DBAPIError as error:
                if not is_locked(error):
                    raise
            # Rare: another process is just recovering the file.
            return self._native_thread.call(self._write_blocking, fn, time.monotonic())

    def rows(
        self,
        statement: PreparedStatement,
        values: Mapping[str, Any],
        *,
        patient: bool = False,  # noqa: ARG002
    ) -> list[Row]:
        """The rows of a SELECT that was prepared.

        Cheaper than `read`: it uses the non-blocking writer's connection, which has the pages it has just
        written in its cache. The reader's connection must drop its cache after each write and read the pages
        again.
        """
        assert statement.only_reads
        with ReportingFailures():
            try:
                with (
                    self._nonblocking_lock,
                    self._nonblocking_writer.opened(self._ready_file()) as connection,
                ):
                    return statement.all(connection, values)
            except DBAPIError as error:
                if not is_locked(error):
                    raise
        return self.read(partial(statement.all, values=values))

    def scan(self, fn: Callable[[Connection], R]) -> R:
        """Run `fn`, which only reads, and may read a lot, in a thread of its own: nothing else waits."""
        with ReportingFailures():
            file = self._ready_file()
            return self._scan_thread.call(self._scan, fn, file)

    def ping(self) -> None:
        """Raise `StorageUnavailable` unless something can be written now."""
        self.write(lambda connection: sqlite.probe(connection, time.monotonic_ns() // 1000))

    def migrate(self) -> tuple[str | None, str]:
        """Bring the tables to the newest version: the version there was, None for no tables, and that one."""
        with ReportingFailures():
            sqlite.make_file(self._path)
            return self._native_thread.call(migrate, self._path)

    def close(self) -> None:
        """Close the file. It opens again when it is used again."""
        with self._reader_lock:
            self._reader.close()
        with self._write_order:
            with self._nonblocking_lock:
                self._nonblocking_writer.close()
            self._native_thread.call(self._blocking_writer.close)
        self._native_thread.close()
        self._scan_thread.call(self._scanner.close)
        self._scan_thread.close()

    def _write_nonblocking(self, fn: Callable[[Connection], R]) -> R:
        with (
            self._nonblocking_lock,
            self._nonblocking_writer.opened(self._ready_file()) as connection,
            connection.begin(),
        ):
            result = fn(connection)
        self._nonblocking_writes += 1
        if self._nonblocking_writes % CHECKPOINT_EVERY == 0:
            self._native_thread.call(self._checkpoint)
        return result

    def _write_blocking(self, fn: Callable[[Connection], R], asked_at: float) -> R:
        with (
            self._blocking_writer.opened(self._make_ready()) as connection,
            _shorter_timeout(connection, time.monotonic() - asked_at),
            connection.begin(),
        ):
            return fn(connection)

    def _scan(self, fn: Callable[[Connection], R], file: FileId) -> R:
        with self._scanner.opened(file) as connection:
            return fn(connection)

    def _checkpoint(self) -> None:
        try:
            with self._blocking_writer.opened(self._make_ready()) as connection:
                sqlite.checkpoint(connection)
        except DBAPIError as error:
            # Nothing is lost by it: the log keeps what was stored, and the next checkpoint moves that too.
            log_event(logger, logging.WARNING, f"session database: checkpoint failed: {error.orig}")

    def _ready_file(self) -> FileId:
        """The identity of the file at our path now, which exists and has the newest tables.

        Asked before each use, because the file may be removed or replaced at any time, as by a restored
        backup: a connection to the old one would go on and write where nobody reads.
        """
        found = identify(self._name)
        if found is not None and found == self._ready:
            return found
        return self._native_thread.call(self._make_ready)

    def _make_ready(self) -> FileId:
        found = identify(self._name)
        if found is None or found != self._ready:
            if self._ready is not None:
                log_event(
                    logger, logging.WARNING, "session database: the file was removed or replaced while in use"
                )
                self._blocking_writer.close()
            sqlite.make_file(self._path)
            migrate(self._path)
            found = self._ready = identify(self._name)
        assert found is not None
        return found


@contextmanager
def _shorter_timeout(connection: Connection, waited: float) -> Iterator[None]:
    """Take the time a write has `waited` behind others off its busy timeout.

    Or else, while another process keeps the database locked, the tenth write in the queue would wait ten
    times BUSY_TIMEOUT before it fails.
    """
    if waited < MIN_COUNTED_WAIT:
        yield
        return
    sqlite.set_busy_timeout(connection, max(0.0, sqlite.BUSY_TIMEOUT - waited))
    try:
        yield
    finally:
        sqlite.set_busy_timeout(connection, sqlite.BUSY_TIMEOUT)
