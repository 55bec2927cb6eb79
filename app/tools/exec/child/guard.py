"""Watches that a command does not take the machine with it: too many processes, the last of the disk."""

from __future__ import annotations

import os
from contextlib import suppress

from app.tools.exec.child.processes import descendants, threads_of_the_system

MAX_PROCESSES = 512  # of one command
LOOK_AT = 256  # further threads of the machine since the command began; before that nobody counts
MIN_FREE_BYTES = 256 * 1024 * 1024  # of the disk that the command works on
LOOK_AWAY_BYTES = 32 * 1024 * 1024  # a disk that was full before, and has become no fuller, is not its doing
DISK_TICKS = 3


class Guard:
    def __init__(self, root: int, folder: str = ".") -> None:
        self._root, self._folder = root, folder
        self._threads = threads_of_the_system()
        self._free = self._free_bytes()
        self._ticks = 0

    def look(self) -> str | None:
        """Why the command has to be ended now: `processes` or `disk`; None: go on."""
        if threads_of_the_system() - self._threads > LOOK_AT and len(descendants(self._root)) > MAX_PROCESSES:
            return "processes"
        self._ticks += 1
        if self._ticks % DISK_TICKS == 0:
            free = self._free_bytes()
            if free < MIN_FREE_BYTES and self._free - free > LOOK_AWAY_BYTES:
                return "disk"
        return None

    def _free_bytes(self) -> int:
        with suppress(OSError):
            found = os.statvfs(self._folder)
            return found.f_bavail * found.f_frsize
        return MIN_FREE_BYTES
