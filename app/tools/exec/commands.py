"""Starts commands and ends them: the worker's side of the process that runs them (`child/server.py`)."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from app.concurrency.background import spawn
from app.logs.lines import log_event
from app.tools.base import ToolError
from app.tools.exec.child.protocol import Lines, dump
from app.tools.exec.command import Command, CommandLine
from app.tools.exec.environment import MARK
from app.tools.exec.leftovers import Leftovers

MAX_RUNNING = 64
END_SECONDS = 4.0
SWEEP_SECONDS = 30.0
PROJECT = Path(__file__).resolve().parents[3]

logger = logging.getLogger("app.tools")


class Commands:
    """All commands of this worker. Starts nothing before the first one. `state_dir` gives its folder."""

    def __init__(self, state_dir: Callable[[], Path]) -> None:
        self._state_dir = state_dir
        self._lock = threading.Lock()  # for all below
        self._leftovers: Leftovers | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False
        self._running: set[Command] = set()
        self._marks = 0

    @property
    def running(self) -> int:
        return len(self._running)

    def new_mark(self) -> str:
        """For the environment of a new command: whose it is, and which."""
        self._marks += 1
        try:
            return f"{self._known_leftovers().mark}-{self._marks}"
        except OSError as error:
            raise ToolError(f"The gateway's state directory cannot be written: {error.strerror}.") from None

    def start(self, line: CommandLine) -> Command:
        """Start a command. Raises ToolError if it cannot be started, or too many are running."""
        if len(self._running) >= MAX_RUNNING:
            raise ToolError(f"{MAX_RUNNING} commands are running, which is as many as may. Try again later.")
        link = self._open_link()
        command = Command(line, link)
        self._running.add(command)
        spawn(self._read, command)
        command.start()
        return command

    def end_leftovers(self, _stop: object = None) -> None:
        """End what gateways of this state directory have left that were killed. For a greenlet of its own."""
        leftovers = self._known_leftovers()
        if not (dead := leftovers.dead()):
            return
        try:
            killed = self._kill_marked(dead)
        except (ToolError, OSError, ValueError) as error:
            log_event(logger, logging.WARNING, "commands of an earlier process may go on", error=str(error))
            return
        for mark in dead:
            leftovers.forget(mark)
        if killed:
            log_event(logger, logging.WARNING, "commands of an earlier process were ended", processes=killed)

    def close(self) -> None:
        """End all commands, and wait for it."""
        with self._lock:
            self._closed = True
            for command in list(self._running):
                command.close()
            self._stop_server()
            if self._leftovers is not None:
                self._leftovers.close()

    def _read(self, command: Command) -> None:
        try:
            command.read()
        finally:
            self._running.discard(command)
        if command.is_lost and not self._closed:
            self._end_lost(command)

    def _end_lost(self, command: Command) -> None:
        """The keeper has died without ending its command."""
        mark = command.line.env.get(MARK)
        killed = self._kill_marked([mark]) if mark else 0
        log_event(
            logger,
            logging.WARNING,
            "the keeper of a command has died",
            pid=command.pid,
            ended_processes=killed,
        )

    def _known_leftovers(self) -> Leftovers:
        if self._leftovers is None:
            self._leftovers = Leftovers(self._state_dir())
        return self._leftovers

    def _open_link(self) -> socket.socket:
        """Our end of a connection with a new keeper."""
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise ToolError(f"Commands cannot be started: {error.strerror}.") from None
        with theirs:
            for last_try in (False, True):
                try:
                    with self._lock:
                        socket.send_fds(self._running_server(), [b"+"], [theirs.fileno()])
                    return ours
                except OSError as error:
                    with self._lock:
                        self._stop_server()
                    if last_try:
                        ours.close()
                        raise ToolError(f"Commands cannot be started: {error.strerror}.") from None
        raise AssertionError("two tries, and neither returned")

    def _running_server(self) -> socket.socket:
        if self._closed:
            raise ToolError("The gateway is stopping.")
        if self._control is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._server = subprocess.Popen(  # noqa: S603 - our own module
                    [
                        sys.executable,
                        "-S",
                        "-E",
                        "-s",
                        "-m",
                        "app.tools.exec.child.server",
                        str(theirs.fileno()),
                    ],
                    cwd=PROJECT,
                    env={"LANG": "C.UTF-8"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            self._control = ours
        return self._control

    def _stop_server(self) -> None:
        """The server ends as soon as its last keeper has."""
        control, self._control = self._control, None
        server, self._server = self._server, None
        if control is not None:
            control.close()
        if server is not None:
            try:
                server.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def _kill_marked(self, marks: list[str]) -> int:
        lines = Lines()
        with self._open_link() as link:
            link.settimeout(SWEEP_SECONDS)
            link.sendall(dump({"marks": [f"{MARK}={mark}" for mark in marks]}))
            while data := link.recv(1024):
                for answer in lines.feed(data):
                    return int(answer["killed"])
        raise OSError("no answer")
