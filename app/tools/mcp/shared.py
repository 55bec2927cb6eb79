"""A server that all workers of a host share: a process of this worker's own, or another one's."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from app.concurrency.background import spawn
from app.tools.mcp.host_share import HostShare
from app.tools.mcp.lines import read_lines
from app.tools.mcp.peer import Channel, Peer
from app.tools.mcp.protocol import MAX_MESSAGE_BYTES, McpError, ServerUnavailable
from app.tools.mcp.server import McpServer

POLL_SECONDS = 0.05  # between two looks for the worker that has it


class SharedServer(McpServer):
    """`share` says which worker has the process; `own` makes a channel to a process of this worker. The rest
    is as for `McpServer`.
    """

    def __init__(self, *about: Any, share: HostShare, own: Callable[[], Channel]) -> None:
        name, prefix, settings, *rest = about
        super().__init__(name, prefix, settings, lambda _: SharedChannel(self, share, own), *rest)
        self._share = share

    def close(self) -> None:
        super().close()
        self._share.close()

    def _notified(self, peer: Peer, method: str) -> None:
        super()._notified(peer, method)
        self._share.broadcast(method)


class SharedChannel:
    """A channel to the process, whoever has it when it is opened."""

    def __init__(self, server: McpServer, share: HostShare, own: Callable[[], Channel]) -> None:
        self._server, self._share, self._own = server, share, own
        self._channel: Channel | None = None
        self._closed = False

    def open(self, peer: Peer, seconds: float) -> None:
        """Start the process, or connect to the worker that has one."""
        deadline = time.monotonic() + seconds
        try:
            while not self._share.take(self._server):
                with suppress(OSError):
                    self._use(WorkerChannel(self._share.connect(seconds)), peer, seconds)
                    return
                if self._closed or time.monotonic() > deadline:
                    raise ServerUnavailable("another worker has it, and does not answer")
                time.sleep(POLL_SECONDS)
        except OSError as error:
            raise ServerUnavailable(f"the state directory cannot be used: {error.strerror}") from None
        self._use(self._own(), peer, max(0.0, deadline - time.monotonic()))

    def _use(self, channel: Channel, peer: Peer, seconds: float) -> None:
        self._channel = channel
        if self._closed:
            channel.close()
            raise ServerUnavailable("it was ended before it had started")
        channel.open(peer, seconds)

    def send(self, message: bytes, request_id: int | None = None, seconds: float = 60.0) -> None:
        if self._channel is not None:
            self._channel.send(message, request_id, seconds)

    def send_first(self, message: bytes, seconds: float) -> None:
        if self._channel is not None:
            self._channel.send_first(message, seconds)

    def forget(self, request_id: int) -> None:
        if self._channel is not None:
            self._channel.forget(request_id)

    def agreed(self, revision: str) -> None:
        if self._channel is not None:
            self._channel.agreed(revision)

    def close(self) -> None:
        self._closed = True
        if self._channel is not None:
            self._channel.close()


class WorkerChannel:
    """A connection to the worker that has the process: a message a line, as on its standard input."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._outgoing: queue.Queue[bytes | None] = queue.Queue()

    def open(self, peer: Peer, seconds: float) -> None:  # noqa: ARG002 - it is connected
        """Begin to read and to write."""
        self._sock.settimeout(None)
        spawn(self._write)
        spawn(self._read, peer)

    def send(self, message: bytes, request_id: int | None = None, seconds: float = 60.0) -> None:  # noqa: ARG002
        self._outgoing.put(message + b"\n")

    def send_first(self, message: bytes, seconds: float) -> None:
        self.send(message, None, seconds)

    def forget(self, request_id: int) -> None:
        """Its answer is ignored when it comes."""

    def agreed(self, revision: str) -> None:
        """It is the same for all revisions."""

    def close(self) -> None:
        self._outgoing.put(None)
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _write(self) -> None:
        with suppress(OSError):
            while (message := self._outgoing.get()) is not None:
                self._sock.sendall(message)

    def _read(self, peer: Peer) -> None:
        why: McpError = ServerUnavailable("the worker that has started it has ended")
        try:
            for line in read_lines(self._sock.makefile("rb", buffering=0), MAX_MESSAGE_BYTES):
                with suppress(ValueError):
                    peer.receive(line)
        except McpError as error:
            why = error
        peer.lost(why)
        self._outgoing.put(None)
        self._sock.close()
