"""Which processes are MCP servers of ours, so that none outlives the gateway, however that ends.

For each server there is a file, locked by the worker that started it for as long as the worker lives; the
kernel unlocks it also when the worker is killed. Whoever finds one unlocked ends the processes that have its
mark in their environment, whatever group they have moved to:

    <state directory>/mcp-processes/7f3c….pid       held by the worker that started server 7f3c…
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from app.concurrency.fairness import give_way
from app.logs.lines import log_event

logger = logging.getLogger("app.tools.mcp")

MARK = "OPENCLAW_MCP_SERVER"  # the variable of the environment that has it
PROC = Path("/proc")


class ServerProcesses:
    """`state_dir` may not exist yet; nothing is made before the first server."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / "mcp"  # where servers run that have no `cwd`
        self._records = state_dir / "mcp-processes"
        self._held: dict[str, int] = {}
        self._closed = False

    def begin(self) -> str:
        """The mark of a server that is about to be started. Raises OSError, also after `close`."""
        if self._closed:
            raise InterruptedError(errno.EINTR, "the gateway is stopping")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._records.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = uuid.uuid4().hex
        handle = os.open(self._record(mark), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._held[mark] = handle
        return mark

    def started(self, mark: str, pid: int) -> bool:
        """Note its process. False, and the process is killed, if all servers have been ended meanwhile."""
        handle = self._held.get(mark)
        if handle is None:
            end_group(pid, signal.SIGKILL)
            return False
        with suppress(OSError):
            os.pwrite(handle, str(pid).encode(), 0)
        return True

    def ended(self, mark: str) -> None:
        """The server has ended: end what it has left, and forget it."""
        self._end([mark])

    def close(self) -> None:
        """End what is left of all servers, also of those just being ended. None can begin any more."""
        self._closed = True
        self._end(list(self._held))

    def _end(self, marks: Sequence[str]) -> None:
        held = {mark: handle for mark in marks if (handle := self._held.pop(mark, None)) is not None}
        if held:
            _end_marked(set(held))
        for mark, handle in held.items():
            self._record(mark).unlink(missing_ok=True)
            os.close(handle)

    def end_leftovers(self) -> int:
        """End the servers of workers that were killed. How many there were."""
        orphans: dict[str, int] = {}
        try:
            for record in self._records.glob("*.pid"):
                if record.stem not in self._held and (handle := _try_lock(record)) is not None:
                    orphans[record.stem] = handle
        except OSError:
            return 0
        if not orphans:
            return 0
        ended = _end_marked(set(orphans))
        for mark, handle in orphans.items():
            self._record(mark).unlink(missing_ok=True)
            os.close(handle)
        if ended:
            log_event(
                logger, logging.WARNING, "mcp servers of an earlier process were ended", processes=ended
            )
        return ended

    def _record(self, mark: str) -> Path:
        return self._records / f"{mark}.pid"


def end_group(pid: int, how: signal.Signals) -> None:
    """Signal the process group of that leader, if there is one still."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)


def _try_lock(record: Path) -> int | None:
    """The locked file; None if its worker lives."""
    try:
        handle = os.open(record, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _end_marked(marks: set[str]) -> int:
    """Kill the processes that have one of the marks in their environment. How many there were."""
    ended = 0
    for pid in _marked(marks):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
            ended += 1
    return ended


def _marked(marks: set[str]) -> Iterator[int]:
    """The processes with one of the marks. None where the system does not show it (`/proc` of Linux does)."""
    wanted = {f"{MARK}={mark}".encode() for mark in marks}
    me = os.getpid()
    with suppress(OSError):
        for name in os.listdir(PROC):
            if not name.isdigit() or int(name) == me:
                continue
            give_way()
            with suppress(OSError):
                variables = (PROC / name / "environ").read_bytes().split(b"\0")
                if not wanted.isdisjoint(variables):
                    yield int(name)
