"""A server that is a child process: a message a line on its standard input and output.

It has a process group of its own, which ends with it. What it writes to its standard error goes into our log.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from app.concurrency.background import spawn
from app.config.tool_settings import McpServerSettings
from app.logs.lines import log_event
from app.tools.mcp.environment import server_environment
from app.tools.mcp.lines import READ_BYTES, read_lines
from app.tools.mcp.peer import Peer
from app.tools.mcp.processes import MARK, ServerProcesses, end_group
from app.tools.mcp.protocol import MAX_MESSAGE_BYTES, McpError, ServerUnavailable
from app.tools.mcp.server_log import ServerLog

logger = logging.getLogger("app.tools.mcp")

MAX_QUEUED_BYTES = 32 * 1024 * 1024  # that wait for a server which does not read
MAX_GARBAGE_BYTES = 4 * 1024 * 1024  # of lines that are no messages
END_SECONDS = 1.0  # that it has to end by itself, and again after SIGTERM
POLL_SECONDS = 0.01


class StdioChannel:
    """The process of one server. `log` gets what it writes to its standard error."""

    def __init__(
        self, name: str, settings: McpServerSettings, processes: ServerProcesses, log: ServerLog
    ) -> None:
        self._name, self._settings = name, settings
        self._processes, self._log = processes, log
        self._outgoing: queue.Queue[bytes | None] = queue.Queue()
        self._queued = 0
        self._mark = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._peer: Peer | None = None
        self._garbage = 0
        self._closed = False
        self._log_ended = threading.Event()

    def open(self, peer: Peer, seconds: float) -> None:  # noqa: ARG002 - starting a process does not wait
        """Start the process."""
        self._peer = peer
        if self._closed:
            raise ServerUnavailable("it was ended before it had started")
        environment, refused = server_environment(os.environ, self._settings.env)
        if refused:
            log_event(
                logger,
                logging.WARNING,
                "mcp environment left out",
                server=self._name,
                names=", ".join(refused),
            )
        try:
            self._mark = self._processes.begin()
            self._process = process = self._start({**environment, MARK: self._mark})
        except (OSError, ValueError) as error:
            self._processes.ended(self._mark)
            raise ServerUnavailable(self._why_not(error)) from None
        if not self._processes.started(self._mark, process.pid):
            raise ServerUnavailable("the gateway is stopping")
        for work, stream in (
            (self._write, process.stdin),
            (self._read, process.stdout),
            (self._read_log, process.stderr),
        ):
            assert stream is not None
            spawn(work, stream)

    def _start(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        settings = self._settings
        command = os.path.expanduser(settings.command or "")
        return subprocess.Popen(  # noqa: S603 - the operator's own command
            [command, *settings.args],
            cwd=settings.cwd or self._processes.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    def _why_not(self, error: Exception) -> str:
        cwd = self._settings.cwd
        if cwd is not None and not cwd.is_dir():
            return f"its working directory (mcp.servers.{self._name}.cwd) does not exist"
        if isinstance(error, FileNotFoundError):
            return f"its program was not found: check mcp.servers.{self._name}.command, and PATH"
        return f"its program could not be started: {getattr(error, 'strerror', None) or type(error).__name__}"

    def send(self, message: bytes, request_id: int | None = None, seconds: float = 60.0) -> None:  # noqa: ARG002
        if self._queued + len(message) > MAX_QUEUED_BYTES:
            if self._peer is not None:
                self._peer.fail(request_id, McpError("it does not read what it is sent"))
            return
        self._queued += len(message)
        self._outgoing.put(message + b"\n")

    def send_first(self, message: bytes, seconds: float) -> None:
        self.send(message, None, seconds)

    def forget(self, request_id: int) -> None:
        """Its answer is ignored when it comes."""

    def agreed(self, revision: str) -> None:
        """It is the same for all revisions."""

    def close(self) -> None:
        self._closed = True
        process, self._process = self._process, None
        self._outgoing.put(None)
        if process is None:
            return
        with suppress(OSError, ValueError):
            process.stdin.close()  # type: ignore[union-attr]
        for how in (signal.SIGTERM, signal.SIGKILL):
            _wait(process, END_SECONDS)
            end_group(process.pid, how)
        _wait(process, END_SECONDS)
        self._processes.ended(self._mark)
        for stream in (process.stdout, process.stderr):
            with suppress(OSError, ValueError):
                stream.close()  # type: ignore[union-attr]

    def _write(self, stream: IO[bytes]) -> None:
        while (message := self._outgoing.get()) is not None:
            self._queued -= len(message) - 1
            left = memoryview(message)
            try:
                while left:
                    left = left[stream.write(left) or 0 :]
            except (OSError, ValueError):
                return  # it has ended, as the reader sees

    def _read(self, stream: IO[bytes]) -> None:
        assert self._peer is not None
        try:
            for line in read_lines(stream, MAX_MESSAGE_BYTES):
                self._take(line)
            why = ServerUnavailable(self._end())
            self._log_ended.wait(END_SECONDS)
            why.said = self._log.tail()
        except McpError as error:
            why = error if isinstance(error, ServerUnavailable) else ServerUnavailable(str(error))
        self._peer.lost(why)
        self.close()

    def _take(self, line: bytes) -> None:
        assert self._peer is not None
        try:
            self._peer.receive(line)
        except ValueError:
            self._garbage += len(line)
            if self._garbage > MAX_GARBAGE_BYTES:
                raise McpError("it writes to its standard output what are no messages of MCP") from None
            self._log.said(line)

    def _end(self) -> str:
        """How the process has ended, in words. It has closed its output, so it is about to."""
        process = self._process
        if process is None:
            return "it was ended"
        code = _wait(process, END_SECONDS)
        if code is None:
            return "it has closed its standard output"
        return f"its process ended with {f'signal {-code}' if code < 0 else f'code {code}'}"

    def _read_log(self, stream: IO[bytes]) -> None:
        with suppress(McpError):
            for line in read_lines(stream, READ_BYTES, cut=True):
                self._log.said(line)
        self._log_ended.set()


def _wait(
    process: subprocess.Popen[bytes], seconds: float, pause: Callable[[float], None] = time.sleep
) -> Any:
    """The exit code, None if it still runs after that time."""
    deadline = time.monotonic() + seconds
    while (code := process.poll()) is None and time.monotonic() < deadline:
        pause(POLL_SECONDS)
    return code
