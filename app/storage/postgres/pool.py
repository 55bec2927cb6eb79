"""A worker's connections to PostgreSQL: made when they are needed, up to a number, and used again."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from app.storage.postgres.failures import all_in_use
from app.storage.postgres.prepared import driver_of

MAX_CONNECTIONS = 8  # of one worker, besides the one for long reads
IDLE_SECONDS = 60.0  # one that was not used for so long is closed: behind a failover others may be better


class Pool:
    """Who waits for a connection gets it in the order of asking. Building it opens nothing."""

    def __init__(self, connect: Callable[[float], Connection], most: int = MAX_CONNECTIONS) -> None:
        self._connect = connect
        self._most = most
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._waiting: deque[threading.Event] = deque()
        self._forget()

    @contextmanager
    def connection(self, deadline: float, seconds_each: float | None = None) -> Iterator[Connection]:
        """A connection for the block, whose waits end by `deadline` (monotonic clock), or each of them within
        `seconds_each`.

        Raises StorageUnavailable: none became free in time. After an error it is closed if it is in doubt.
        """
        self._wait_for_place(deadline)
        connection: Connection | None = None
        try:
            connection = self._idle_one() or self._connect(deadline)
            driver = driver_of(connection)
            driver.deadline, driver.seconds_each = deadline, seconds_each
            yield connection
        finally:
            self._give_back(connection)

    def close_idle(self) -> None:
        """Close those that nobody uses: when one is broken, the others mostly are, too."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            close(connection)

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._places = self._most
        self._idle, self._waiting = [], deque()

    def _wait_for_place(self, deadline: float) -> None:
        with self._lock:
            if self._pid != os.getpid():  # a fork: the connections are our parent's
                self._forget()
            if self._places:
                self._places -= 1
                return
            handed_over = threading.Event()
            self._waiting.append(handed_over)
        try:
            handed_over.wait(max(0.0, deadline - time.monotonic()))
        except BaseException:
            if not self._withdraw(handed_over):
                self._free_place()
            raise
        if self._withdraw(handed_over):
            raise all_in_use()

    def _withdraw(self, handed_over: threading.Event) -> bool:
        """Wait no more. False if the place was handed over at the same moment."""
        with self._lock:
            is_waiting = handed_over in self._waiting
            if is_waiting:
                self._waiting.remove(handed_over)
            return is_waiting

    def _free_place(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._places += 1

    def _idle_one(self) -> Connection | None:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
            old = [one for one in self._idle if driver_of(one).used_at < time.monotonic() - IDLE_SECONDS]
            if old:
                self._idle = [one for one in self._idle if one not in old]
        for one in old:
            close(one)
        return connection

    def _give_back(self, connection: Connection | None) -> None:
        try:
            if connection is not None and not self._keep(connection):
                close(connection)
        finally:
            self._free_place()

    def _keep(self, connection: Connection) -> bool:
        """Whether it can be used again, and is kept for that."""
        if connection.invalidated or connection.get_transaction() is not None:
            return False
        if not driver_of(connection).is_clean:
            return False
        driver_of(connection).used_at = time.monotonic()
        with self._lock:
            self._idle.append(connection)
        return True


def close(connection: Connection) -> None:
    """Close it, whatever state it is in. Waits for nothing."""
    driver = None if connection.invalidated else driver_of(connection)
    if driver is not None:
        driver.close()
    connection.invalidate()
    connection.close()
