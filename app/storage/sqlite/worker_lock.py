"""Which worker processes are alive: a sign that no crash can leave behind.

A run in the database carries the name of the worker that has it. Who finds a running run after a crash must
know whether that worker still lives, or the run would be `running` for ever. Process ids cannot say so: the
system gives them out again, and containers number theirs alike. So each worker draws a random name and holds
a lock on a file of that name for as long as it lives:

    <state directory>/owners/7f3c….lock        locked by worker 7f3c…; the kernel unlocks it when that ends

Whoever can lock `7f3c….lock`, or finds no such file, knows that worker 7f3c… is dead, and removes the file.
Workers that share an SQLite file run on one machine, so a lock on a file beside it reaches all of them.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection
from pathlib import Path

from sqlalchemy import Connection

from app.storage.base import Stop
from app.storage.sqlite.failures import ReportingFailures
from app.storage.sqlite.file_lock import try_lock

# Named before the word was "worker". Workers of another version share it, so it keeps its name.
DIRECTORY = "owners"


class WorkerLock:
    """Implements `Worker`: this process's name and lock, taken at first use (after a fork), held until
    `close`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / DIRECTORY
        self._id: str | None = None
        self._handle: int | None = None
        self._pid: int | None = None

    @property
    def id(self) -> str:
        """The name that marks this process's runs. Raises StorageUnavailable: the file cannot be written."""
        if self._id is None or self._pid != os.getpid():
            self._take()
        assert self._id is not None
        return self._id

    @property
    def last_id(self) -> str:
        """The same: a lock does not run out."""
        return self.id

    def is_alive(self, worker_id: str) -> bool:
        """Whether the process of that name still runs. A dead one's file is removed."""
        if worker_id == self._id and self._pid == os.getpid():
            return True
        path = self._path(worker_id)
        try:
            handle = try_lock(path, create=False)
        except FileNotFoundError:
            return False
        if handle is None:
            return True
        path.unlink(missing_ok=True)
        os.close(handle)
        return False

    def check(self) -> None:
        """Nothing to find out: the lock is held as long as the process lives."""

    def dead(self, among: Collection[str]) -> list[str]:
        """Those of the names `among` whose processes have ended. Their files are removed."""
        return [name for name in among if not self.is_alive(name)]

    def bury(self, _connection: Connection, among: Collection[str]) -> list[str]:
        """The same: a process that has ended does not come back."""
        return self.dead(among)

    def when_lost(self, _listener: Callable[[], object]) -> None:
        """It never is."""

    def run(self, _stop: Stop) -> None:
        """Nothing to do: the kernel does it."""

    def remove_stale(self) -> int:
        """Remove the files of dead workers. Returns how many there were."""
        with ReportingFailures():
            names = [path.stem for path in self._directory.glob("*.lock")]
            return sum(not self.is_alive(name) for name in names)

    def close(self) -> None:
        """Give the name up: this process counts as dead from here on, until it asks for `id` again."""
        if self._handle is not None and self._id is not None and self._pid == os.getpid():
            self._path(self._id).unlink(missing_ok=True)
            os.close(self._handle)
        self._id = self._handle = self._pid = None

    def _take(self) -> None:
        with ReportingFailures():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            while True:
                name = str(uuid.uuid4())
                handle = try_lock(self._path(name), create=True)
                if handle is None:
                    continue
                # Between our making the file and our locking it, another worker's `is_alive` may have locked
                # and removed it as a dead one's. Then we hold a lock that nobody can find: draw another name.
                if self._path(name).exists():
                    break
                os.close(handle)
        self._id, self._handle, self._pid = name, handle, os.getpid()

    def _path(self, worker_id: str) -> Path:
        return self._directory / f"{worker_id}.lock"
