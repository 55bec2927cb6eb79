"""Finds the commands that a gateway which was killed may have left, and ends them.

Keepers end their commands when the worker is gone. If they were killed, too, what is left is found by a mark
in its environment: the name of the worker that started it. A worker holds a lock on a file of that name as
long as it lives, so whoever gets the lock knows that these commands are nobody's:

    <state directory>/exec/7f3c….lock
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from app.ids import new_hex

DIRECTORY = "exec"


class Leftovers:
    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / DIRECTORY
        self._mark = ""
        self._lock: int | None = None

    @property
    def mark(self) -> str:
        """This worker's name, for its commands' environment. Raises OSError: the file cannot be written."""
        if self._lock is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            name = new_hex()
            self._lock = _try_lock(self._path(name), create=True)
            self._mark = name
        return self._mark

    def dead(self) -> list[str]:
        """The marks of workers that have died without tidying up."""
        names = [path.stem for path in self._directory.glob("*.lock") if path.stem != self._mark]
        return [name for name in names if self._is_dead(name)]

    def forget(self, mark: str) -> None:
        """No command has that mark any more."""
        self._path(mark).unlink(missing_ok=True)

    def close(self) -> None:
        """All commands of this worker have ended."""
        if self._lock is not None:
            self.forget(self._mark)
            os.close(self._lock)
            self._lock = None

    def _is_dead(self, name: str) -> bool:
        lock = None
        with suppress(OSError):
            lock = _try_lock(self._path(name), create=False)
        if lock is not None:
            os.close(lock)
        return lock is not None

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.lock"


def _try_lock(path: Path, create: bool) -> int | None:
    """None: another process has it."""
    handle = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
