"""Processes as Linux shows them in `/proc`: which belong to a command, and how to end all of them.

A command's keeper is a subreaper (prctl(2)): whatever the command starts stays below it in the tree, also
what has left its process group and its session. Where there is no `/proc`, only the process group is known.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from app.tools.exec.child.control_groups import ControlGroups

PROC = Path("/proc")
PR_SET_CHILD_SUBREAPER = 36
ROUND_SECONDS = 0.01
END_SECONDS = 3.0  # after which processes that do not end (in the kernel's hands) are left to themselves


def become_subreaper() -> None:
    """Orphans below this process become its children from now on, on systems that know of it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int) -> dict[int, int]:
    """The living processes below `root`: pid -> process group."""
    children: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for pid in _pids():
        if (found := _parent_and_group(pid)) is not None:
            children[found[0]].append((pid, found[1]))
    below: dict[int, int] = {}
    waiting = [root]
    while waiting:
        for pid, group in children.pop(waiting.pop(), ()):
            below[pid] = group
            waiting.append(pid)
    return below


def is_sandbox(pid: int) -> bool:
    """Whether it is bubblewrap itself, which ends a moment after the last process in it."""
    with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as name:
        return name.read().strip() == b"bwrap"
    return False


class Tree:
    """All that a command has started: what is below this process, the group `group`, and `groups`."""

    def __init__(self, group: int, groups: ControlGroups) -> None:
        self._group, self._groups = group, groups

    def end(self) -> None:
        """Kill, until there is nothing left."""
        deadline = time.monotonic() + END_SECONDS
        while reap() and time.monotonic() < deadline:
            self.kill()
            time.sleep(ROUND_SECONDS)

    def kill(self) -> None:
        """Kill what there is now: whole groups, each in one step that no fork slips through, and the rest."""
        _hurry()
        self._groups.kill()
        below = descendants(os.getpid())
        for one in {self._group, *below.values()} - {os.getpgid(0), 0, 1}:
            _kill_group(one)
        for pid in below:
            _kill(pid)


def _hurry() -> None:
    """Before all others, if we may: what is killed may be thousands of processes that start others."""
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def reap() -> bool:
    """Take leave of children that have ended. False if there are no children at all."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return True
        except ChildProcessError:
            return False


def kill_marked(marks: Iterable[str]) -> int:
    """Kill the processes of our user whose environment has one of the marks, until none is left; how many
    there were. A mark `NAME=a` is also that of `NAME=a-1`.
    """
    wanted = tuple(mark.encode() for mark in marks)
    killed: set[int] = set()
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        found = {pid for pid in _pids() if pid != os.getpid() and _is_marked(pid, wanted)}
        if not found:
            break
        for pid in found:
            _kill(pid)
        killed |= found
        time.sleep(ROUND_SECONDS)
    return len(killed)


def threads_of_the_system() -> int:
    """How many threads all processes of the machine have; 0 if that is not known."""
    with suppress(OSError, ValueError, IndexError):
        return int((PROC / "loadavg").read_text().split()[3].split("/")[1])
    return 0


def _pids() -> list[int]:
    with suppress(OSError):
        return [int(name) for name in os.listdir(PROC) if name.isdigit()]
    return []


def _parent_and_group(pid: int) -> tuple[int, int] | None:
    """Of a process that has not ended yet."""
    with suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()  # a program's name may have any bytes
        if fields[0] not in (b"Z", b"X"):
            return int(fields[1]), int(fields[2])
    return None


def _is_marked(pid: int, marks: tuple[bytes, ...]) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as environ:
        for variable in environ.read().split(b"\0"):
            if variable.startswith(marks):
                return any(variable == mark or variable.startswith(mark + b"-") for mark in marks)
    return False


def _kill(pid: int) -> None:
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _kill_group(group: int) -> None:
    with suppress(OSError):
        os.killpg(group, signal.SIGKILL)
