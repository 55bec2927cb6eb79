"""Which processes are alive, told by locks instead of process ids, which the system gives out again.

Each process holds a lock on a file of its own in `<state directory>/owners/`. Whoever can take such a
lock knows that its owner is gone.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from app.storage.sqlite.failures import ReportingFailures
from app.storage.sqlite.file_lock import try_lock


class WorkerLock:
    """This process's sign of life. Taken on first use (after a fork) and held until `close`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "owners"
        self._id: str | None = None
        self._handle: int | None = None
        self._pid: int | None = None

    @property
    def id(self) -> str:
        """The name under which this process owns its runs."""
        if self._id is None or self._pid != os.getpid():
            self._take()
        assert self._id is not None
        return self._id

    def is_alive(self, owner: str) -> bool:
        """Whether the process of that name still runs. A dead one's file is removed."""
        if owner == self._id and self._pid == os.getpid():
            return True
        path = self._path(owner)
        try:
            handle = try_lock(path, create=False)
        except FileNotFoundError:
            return False
        if handle is None:
            return True
        path.unlink(missing_ok=True)
        os.close(handle)
        return False

    def remove_stale(self) -> int:
        """Remove the files of dead owners; how many there were."""
        with ReportingFailures():
            names = [path.stem for path in self._directory.glob("*.lock")]
            return sum(not self.is_alive(name) for name in names)

    def close(self) -> None:
        """Say that this process owns nothing any more."""
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
                # Between making the file and locking it, somebody may have taken it for a dead one's.
                if self._path(name).exists():
                    break
                os.close(handle)
        self._id, self._handle, self._pid = name, handle, os.getpid()

    def _path(self, owner: str) -> Path:
        return self._directory / f"{owner}.lock"
