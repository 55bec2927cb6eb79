"""The socket under a WebSocket, with what simple-websocket's plain one lacks.

Its `send` may write only a part of a frame to a slow reader, and blocks for as long as that reader likes.
Here `send` only queues: one writer at a time takes the frames out, whole and in order, and a client that
takes nothing is given up on. Reading waits while the client has too much of its own waiting to be handled.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from app.concurrency.background import spawn

WRITE_SECONDS = 30.0
FINISH_SECONDS = 5.0
LINGER_SECONDS = 1.0
MAX_AT_ONCE = 64 * 1024


class BufferedSocket:
    """Stands in for the connection's socket. `crowded` says whether reading should wait."""

    def __init__(self, sock: Any) -> None:
        sock.settimeout(None)  # a client may be silent for as long as it likes
        self._sock = sock
        self._queue: deque[bytes] = deque()
        self._writing = False
        self._written: threading.Event | None = None
        self._room = threading.Event()
        self._room.set()
        self._unread = threading.Event()  # set once nobody reads any more
        self._writing_since: float | None = None
        self.queued = 0  # bytes that the client has not taken
        self.broken = False
        self.on_broken: Callable[[], object] = lambda: None

    def send(self, data: bytes) -> int:
        """Queue `data`. Raises OSError once the connection is lost."""
        if self.broken:
            raise BrokenPipeError
        self._queue.append(data)
        self.queued += len(data)
        if not self._writing:
            self._writing = True
            spawn(self._write)
        return len(data)

    sendall = send

    def recv(self, size: int) -> bytes:
        self._room.wait()
        data: bytes = self._sock.recv(size)
        return data

    def hold(self) -> None:
        """Read no more until `go_on`: the client is ahead of us."""
        self._room.clear()

    def go_on(self) -> None:
        self._room.set()

    def close(self) -> None:
        """The reader's last word. The socket stays: what is queued must go out, and the server closes it."""
        self._room.set()
        self._unread.set()

    def finish(self) -> None:
        """Let what is queued go out, and the client read it: closing on unread input would cut it off."""
        if self._writing:
            self._written = threading.Event()
            self._written.wait(FINISH_SECONDS)
        deadline = time.monotonic() + LINGER_SECONDS
        self._room.set()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            if not self._unread.wait(LINGER_SECONDS):
                return  # the reader still waits for the client, and a socket has one reader
            while (left := deadline - time.monotonic()) > 0:
                self._sock.settimeout(left)
                if not self._sock.recv(MAX_AT_ONCE):
                    return

    def check(self) -> None:
        """Give up on a client that has taken nothing for WRITE_SECONDS. To be called now and then."""
        since = self._writing_since
        if since is not None and time.monotonic() - since > WRITE_SECONDS:
            self._give_up()
            self._sock.close()

    def fileno(self) -> int:
        fd: int = self._sock.fileno()
        return fd

    def _write(self) -> None:
        try:
            while self._queue:
                self._writing_since = time.monotonic()
                self._sock.sendall(self._take())
        except OSError:
            self._give_up()
        finally:
            self._writing = False
            self._writing_since = None
            if self._written is not None:
                self._written.set()

    def _take(self) -> bytes:
        """The next frames in one piece, as far as they are small: one system call for many."""
        data = self._queue.popleft()
        if self._queue and len(data) < MAX_AT_ONCE:
            pieces, size = [data], len(data)
            while self._queue and size < MAX_AT_ONCE:
                pieces.append(self._queue.popleft())
                size += len(pieces[-1])
            data = b"".join(pieces)
        self.queued -= len(data)
        return data

    def _give_up(self) -> None:
        self.broken = True
        self._queue.clear()
        self.queued = 0
        self.on_broken()
