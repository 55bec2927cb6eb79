"""Keeps one command: starts it, passes on what it says, and ends it with everything it has started.

It ends when its own program ends, its time is over, the worker says so or is gone, or it endangers the
machine (`guard.py`). Output is read at a bounded rate and passed on in bounded pieces, so a flood costs the
worker next to nothing.
"""

from __future__ import annotations

import base64
import os
import select
import signal
import socket
import time
from contextlib import suppress
from typing import Any

from app.tools.exec.child.control_groups import ControlGroups
from app.tools.exec.child.guard import Guard
from app.tools.exec.child.processes import Tree, become_subreaper, descendants, is_sandbox, reap
from app.tools.exec.child.protocol import READ_BYTES, Lines, dump
from app.tools.exec.child.spawn import Spawned, be_nice, spawn
from app.tools.exec.child.text import OutputText
from app.tools.exec.child.window import Window

TICK_SECONDS = 0.2
QUICK_SECONDS = 0.02  # before the first piece of output, so that quick commands answer quickly
WINDOW_BYTES = 16 * 1024  # of the output of a tick that is passed on: at its beginning, and at its end
MAX_TICK_BYTES = 4 * 1024 * 1024  # that are read in a tick
MAX_INPUT_BYTES = 1024 * 1024  # waiting to be read by the command
TERM_SECONDS = 0.3  # between the request to end and the end
LEFT_SECONDS = 0.1  # that what a command has started may take to end after it
SANDBOX_SECONDS = 2.0  # the same for its sandbox, once nothing else is in it
DRAIN_SECONDS = 0.5
NICENESS = 5  # less than the command's own, which comes on top


def keep(request: dict[str, Any], link: socket.socket, rest: bytes) -> None:
    """The command's whole life. Raises ConnectionError if the worker is gone."""
    become_subreaper()
    os.setsid()
    be_nice(NICENESS)
    groups = ControlGroups(str(os.getpid()))
    try:
        child = spawn(request, groups.enter)
    except OSError as error:
        groups.close()
        link.sendall(dump({"failed": f"{error.strerror}: {error.filename or request['argv'][0]}"}))
        return
    tree = Tree(child.pid, groups)
    try:
        keeper = _Keeper(child, tree, link, float(request["seconds"]), rest)
        keeper.send({"started": child.pid})
        keeper.run()
    finally:
        tree.end()
        groups.close()


class _Keeper:
    def __init__(self, child: Spawned, tree: Tree, link: socket.socket, seconds: float, rest: bytes) -> None:
        self._child, self._tree, self._link = child, tree, link
        self._lines = Lines()
        self._window, self._text = Window(WINDOW_BYTES), OutputText()
        self._input = bytearray()
        self._input_ends = False
        self._started_at = time.monotonic()
        self._deadline = self._started_at + seconds
        self._kill_at: float | None = None  # when asking has been enough
        self._reason = "exit"
        self._guard = Guard(os.getpid())
        self._next_tick = self._started_at + QUICK_SECONDS
        self._tick_bytes = 0
        self._output_ends = False
        self._signals, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._take_orders(rest)

    def send(self, message: dict[str, Any]) -> None:
        self._link.sendall(dump(message))

    def run(self) -> None:
        """Until the command has ended; says so."""
        while (status := self._child.poll()) is None:
            self._wait()
            now = time.monotonic()
            if now >= self._next_tick:
                self._tick(now)
            if now >= self._deadline:
                self._end("timeout")
            if self._kill_at is not None and now >= self._kill_at:
                self._tree.kill()
                self._kill_at = now + TICK_SECONDS / 4
        left = self._end_rest()
        self._drain()
        self._pass_on(final=True)
        code = os.waitstatus_to_exitcode(status)
        self.send(
            {
                "ended": {
                    "code": code if code >= 0 else None,
                    "signal": -code if code < 0 else None,
                    "reason": self._reason,
                    "left": left,
                    "seconds": round(time.monotonic() - self._started_at, 3),
                }
            }
        )

    def _wait(self) -> None:
        """Until something can be read or written, or the next tick."""
        reading: list[Any] = [self._signals, self._link]
        if not self._output_ends and self._tick_bytes < MAX_TICK_BYTES:
            reading.append(self._child.output)
        writing = [self._child.input] if self._input and self._child.input is not None else []
        seconds = max(
            0.0, min(self._next_tick, self._deadline, self._kill_at or self._deadline) - time.monotonic()
        )
        readable, writable, _ = select.select(reading, writing, [], seconds)
        if self._signals in readable:
            with suppress(BlockingIOError):
                os.read(self._signals, 1024)
        if self._link in readable:
            self._take_orders(self._receive())
        if self._child.output in readable:
            self._read()
        if writable:
            self._write()

    def _tick(self, now: float) -> None:
        self._pass_on()
        self._next_tick = now + TICK_SECONDS
        self._tick_bytes = 0
        if (danger := self._guard.look()) is not None:
            self._end(danger, at_once=True)

    def _receive(self) -> bytes:
        data = self._link.recv(READ_BYTES)
        if not data:
            raise ConnectionResetError
        return data

    def _take_orders(self, data: bytes) -> None:
        for order in self._lines.feed(data):
            if reason := order.get("kill"):
                self._end(reason)
            if "input" in order and len(self._input) < MAX_INPUT_BYTES:
                self._input += base64.b64decode(order["input"])
                self._input_ends = self._input_ends or bool(order.get("eof"))
                self._write()

    def _end(self, reason: str, at_once: bool = False) -> None:
        """Ask all of the command to end; a moment later it is not asked any more."""
        if self._kill_at is not None:
            return
        self._reason = reason
        self._kill_at = time.monotonic() + (0 if at_once else TERM_SECONDS)
        self._next_tick = min(self._next_tick, self._kill_at)
        self._deadline = float("inf")
        if not at_once:
            with suppress(OSError):
                os.killpg(self._child.pid, signal.SIGTERM)

    def _end_rest(self) -> int:
        """End what the command has left running; how many processes that were."""
        until = time.monotonic() + LEFT_SECONDS
        while reap():
            late = time.monotonic() - until
            if late > 0 or self._kill_at is not None:
                left = sum(not is_sandbox(pid) for pid in descendants(os.getpid()))
                if left or late > SANDBOX_SECONDS or self._kill_at is not None:
                    self._tree.end()
                    return left if self._kill_at is None else 0
            time.sleep(LEFT_SECONDS / 10)
        return 0

    def _read(self) -> None:
        try:
            data = os.read(self._child.output, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # a terminal whose last user has closed it
            data = b""
        self._output_ends = not data
        self._tick_bytes += len(data)
        self._window.add(data)

    def _drain(self) -> None:
        """What is still in the pipe. All that could write to it have ended."""
        until = time.monotonic() + DRAIN_SECONDS
        while not self._output_ends and time.monotonic() < until:
            if not select.select([self._child.output], [], [], 0)[0]:
                return
            self._read()

    def _pass_on(self, final: bool = False) -> None:
        head, dropped, tail = self._window.take()
        text = self._text.feed(head, final and not tail)
        if dropped:
            text += f"\n[… {dropped} bytes of output were left out here …]\n"
        if tail:
            text += self._text.feed(tail, final)
        if text:
            self.send({"output": text})

    def _write(self) -> None:
        self._input = self._child.write(self._input)
        if self._input_ends and not self._input:
            self._child.end_input()
