"""A command that runs, as the worker sees it: its keeper's end of the talk (`child/keeper.py`)."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from app.cancel import Cancel
from app.concurrency.fairness import give_way
from app.tools.base import ToolError
from app.tools.exec.child.protocol import READ_BYTES, Lines, dump
from app.tools.exec.output import OutputLog

START_SECONDS = 20.0
MAX_INPUT = 256 * 1024  # bytes for the command's input in one call


class CommandLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run. `shown` is the command as the model wrote it. `with_input`: its input stays open."""

    argv: Sequence[str]
    shown: str
    workdir: Path
    env: Mapping[str, str]
    seconds: float
    pty: bool = False
    with_input: bool = False
    title: str = ""


class Ended(msgspec.Struct, frozen=True):
    """How a command has ended. `reason`: `exit` (by itself), `timeout`, `processes`, `disk`, `lost`, or that
    of whoever ended it. `left`: processes that it had left running, which have been ended.
    """

    code: int | None
    signal: int | None
    reason: str
    left: int
    seconds: float


LOST = Ended(None, None, "lost", 0, 0.0)


class Command:
    """Started by `Commands.start`. Ends by itself, at its time limit, by `end`, or with the worker."""

    def __init__(self, line: CommandLine, link: socket.socket) -> None:
        self.line = line
        self.pid = 0
        self.started_at = time.time()
        self.output = OutputLog()
        self.ended: Ended | None = None
        self.ended_at = 0.0  # on the monotonic clock
        self.seen = 0  # characters of the output that the model has had
        self._link = link
        self._failure: str | None = None
        self._is_closed = False
        self._to_notify: list[Callable[[], object]] = []
        self._changed = threading.Condition()

    @property
    def is_lost(self) -> bool:
        """Whether its keeper has died before it."""
        return self.ended is LOST and bool(self.pid) and not self._is_closed

    def start(self) -> None:
        """Hand the command to its keeper, and wait until it runs. Raises ToolError if it does not."""
        line = self.line
        request = {
            "argv": list(line.argv),
            "cwd": str(line.workdir),
            "env": dict(line.env),
            "pty": line.pty,
            "input": line.with_input,
            "seconds": line.seconds,
        }
        with suppress(OSError):  # the reader sees it, too
            self._link.sendall(dump(request))
        self.wait(lambda: bool(self.pid), START_SECONDS)
        if not self.pid:
            self.close()
            raise ToolError(
                f"The command could not be started: {self._failure or 'the machine is too busy'}."
            )

    def wait(self, until: Callable[[], bool], seconds: float, cancel: Cancel | None = None) -> None:
        """Wait until `until()` or the command's end, at most `seconds`. Raises the error of `cancel`."""
        deadline = time.monotonic() + seconds
        with (cancel or Cancel()).waking(self._wake), self._changed:
            while self.ended is None and not until() and not (cancel and cancel.cancelled):
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return

    def when_ended(self, notify: Callable[[], object]) -> None:
        """Call `notify` once it has ended; at once if it has."""
        with self._changed:
            if self.ended is None:
                self._to_notify.append(notify)
                return
        notify()

    def write(self, data: bytes, eof: bool = False) -> None:
        """Raises ToolError: it has ended, or its input is closed."""
        if self.ended is not None:
            raise ToolError("The command has ended.")
        if not self.line.with_input:
            raise ToolError(
                "The command has no open input: start it with background: true, or pty: true, to write to it."
            )
        if len(data) > MAX_INPUT:
            raise ToolError(f"At most {MAX_INPUT} bytes can be written at once.")
        self._send({"input": base64.b64encode(data).decode(), "eof": eof})

    def end(self, reason: str) -> None:
        """Ask for its end, which comes inside a second."""
        self._send({"kill": reason})

    def close(self) -> None:
        """End it and everything it has started; nobody is interested in it any more."""
        self._is_closed = True
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def read(self) -> None:
        """Take what the keeper says until it has said all. For a greenlet or thread of its own."""
        lines = Lines()
        try:
            with self._link:
                while data := self._link.recv(READ_BYTES):
                    for message in lines.feed(data):
                        self._take(message)
                    give_way()
        except (OSError, ValueError) as error:
            self._failure = self._failure or str(error)
        with self._changed:
            if self.ended is None:
                self._end(LOST)
            self._changed.notify_all()
        while self._to_notify:
            self._to_notify.pop()()

    def _take(self, message: dict[str, Any]) -> None:
        with self._changed:
            if (text := message.get("output")) is not None:
                self.output.add(text)
            elif (pid := message.get("started")) is not None:
                self.pid = pid
            elif (failure := message.get("failed")) is not None:
                self._failure = failure
            elif (ended := message.get("ended")) is not None:
                self._end(msgspec.convert(ended, Ended))
            self._changed.notify_all()

    def _end(self, ended: Ended) -> None:
        self.ended, self.ended_at = ended, time.monotonic()

    def _send(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # it has just ended
            self._link.sendall(dump(message))

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
