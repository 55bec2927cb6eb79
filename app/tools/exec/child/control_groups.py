"""Control groups of Linux, where we may make some: they bound a command's processes, and end all at once.

Version 2 kills a whole group in one step, which no process slips through by forking faster than it is found;
the `pids` controller of either version bounds how many there may be. See cgroups(7).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PREFIX = "openclaw-exec-"
MAX_TASKS = 1024  # processes and threads
CLOSE_TRIES = 20


class ControlGroups:
    """Those of one command; none where the machine does not let us."""

    def __init__(self, name: str) -> None:
        self._folders = [made for parent in _parents() if (made := _make(parent / (PREFIX + name)))]

    def enter(self) -> None:
        """Put the calling process into them."""
        for folder in self._folders:
            _write(folder / "cgroup.procs", "0")

    def kill(self) -> None:
        """Kill all that is in them; nothing in them can fork any more."""
        for folder in self._folders:
            _write(folder / "pids.max", "0")
            _write(folder / "cgroup.kill", "1")

    def close(self) -> None:
        """Remove them, which is possible once they are empty."""
        for folder in self._folders:
            for _ in range(CLOSE_TRIES):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)


def remove_stale() -> None:
    """Remove the groups of keepers that were killed."""
    for parent in _parents():
        for folder in parent.glob(PREFIX + "*"):
            if not Path("/proc", folder.name.removeprefix(PREFIX)).exists():
                with suppress(OSError):
                    folder.rmdir()


def _parents() -> Iterator[Path]:
    """The groups that this process is in, as far as they are of use."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                unified = ROOT / "unified"
                yield (unified if unified.is_dir() else ROOT) / path.lstrip("/")
            elif "pids" in controllers.split(","):
                yield ROOT / controllers / path.lstrip("/")


def _make(folder: Path) -> Path | None:
    if not os.access(folder.parent / "cgroup.procs", os.W_OK):
        return None
    with suppress(OSError):
        folder.mkdir()
        _write(folder / "pids.max", str(MAX_TASKS))
        return folder
    return None


def _write(file: Path, value: str) -> None:
    with suppress(OSError), open(file, "w") as out:
        out.write(value)
