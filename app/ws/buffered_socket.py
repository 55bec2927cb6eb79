"""The socket under a WebSocket, with a write queue that simple-websocket's own writing lacks.

simple-websocket writes each frame with a plain `sock.send(frame)`. That is not enough for a server:

* `send` may write only the first part of a frame when the client's receive window is full. The rest is
  lost, and the next frame starts in the middle of the last one.
* Several greenlets write to one connection: the reader (pongs, the close frame), the one that handles
  requests, and those that send events. Their frames could mix.
* A client that reads nothing would block every greenlet that has an event for it, for as long as it likes.

`BufferedSocket` takes the socket's place in the WSGI environment. `send` only queues a whole frame, so it
never blocks. One greenlet at a time writes: the first `send` to an idle connection starts it, and it ends
when the queue is empty, so an idle connection has none. `queued` shows the connection when a client is too
slow, and `check_write_timeout`, called with each ping, gives up on a client that takes nothing at all.

Reading has the opposite problem: simple-websocket's reader keeps every message in memory, however far the
client is ahead. The reader therefore waits in `recv`, so that TCP slows the client down, in two cases: while
`pause_reading` says so, and while more than MAX_UNWRITTEN bytes wait to be written. The second is what stops
a client that sends requests, or pings, and does not read the answers.

A client that is not authenticated may send only so many bytes in all: `allowance` counts them down.

Closing: the reader ends before what is queued has been written, so `close` closes nothing. `finish` is called
when the connection's handler is done: it lets the queue drain, sends FIN, and reads what the client still
sends, because closing a socket with unread input sends a reset that can destroy the last frames on their way.
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
from app.concurrency.fairness import give_way
from app.concurrency.linger import discard_input, end_sending

WRITE_SECONDS = 30.0  # that a client may take nothing at all
FINISH_SECONDS = 5.0  # for the queue to drain at the end
LINGER_SECONDS = 1.0  # for the client to close its side after ours
MAX_BLOCK = 64 * 1024  # bytes written at once: smaller frames together, larger ones in pieces
MAX_UNWRITTEN = 1024 * 1024  # bytes that may wait to be written while more is read


class BufferedSocket:
    """Stands in for a connected socket.

    `on_broken` is called when the connection is lost while writing. `allowance` is how many bytes the client
    may still send, None for any number; `on_exceeded` is called when it has sent more.
    """

    def __init__(self, sock: Any, allowance: int | None = None) -> None:
        sock.settimeout(None)  # a client may be silent for as long as it likes
        self._sock = sock
        self._queue: deque[bytes] = deque()
        self._is_writing = False
        self._writing_since: float | None = None  # of the block being written, on the monotonic clock
        self._drained: threading.Event | None = None
        self._may_read = threading.Event()
        self._may_read.set()
        self._keeps_up = threading.Event()
        self._keeps_up.set()
        self._reader_ended = threading.Event()
        self.queued = 0  # bytes that wait to be written
        self.broken = False
        self.on_broken: Callable[[], object] = lambda: None
        self.allowance = allowance
        self.on_exceeded: Callable[[], object] = lambda: None

    def send(self, data: bytes) -> int:
        """Queue `data`, a whole frame; its length. Raises OSError once the connection is lost."""
        if self.broken:
            raise BrokenPipeError
        self._queue.append(data)
        self.queued += len(data)
        if self.queued > MAX_UNWRITTEN:
            self._keeps_up.clear()
        if not self._is_writing:
            self._is_writing = True
            spawn(self._write)
        return len(data)

    sendall = send

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes from the client, b"" at its end, or when it has sent more than it may.

        Waits while reading is paused, or the client does not take what is written to it.
        """
        self._may_read.wait()
        self._keeps_up.wait()
        data: bytes = self._sock.recv(size)
        give_way()
        if self.allowance is not None:
            self.allowance -= len(data)
            if self.allowance < 0:
                self.on_exceeded()
                return b""
        return data

    def stop_reading(self) -> None:
        """Read nothing more from a client that is not to be waited for; the reader ends."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    def pause_reading(self) -> None:
        """Read nothing more until `resume_reading`: the client is ahead of us."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Read on."""
        self._may_read.set()

    @property
    def is_behind(self) -> bool:
        """Whether more than MAX_UNWRITTEN bytes wait to be written, so that nothing is read."""
        return self.queued > MAX_UNWRITTEN

    def wait_written(self) -> None:
        """Wait until at most MAX_UNWRITTEN bytes wait to be written, or the connection ends."""
        self._keeps_up.wait()

    def stop_waiting(self) -> None:
        """The connection ends: `recv` and `wait_written` return."""
        self._may_read.set()
        self._keeps_up.set()

    def close(self) -> None:
        """Called by the reader when it ends. The socket stays open: what is queued must still go out."""
        self.stop_waiting()
        self._reader_ended.set()

    def finish(self) -> None:
        """Write what is queued and wait for the client to close its side, each for a few seconds at most."""
        if self._is_writing:
            self._drained = threading.Event()
            self._drained.wait(FINISH_SECONDS)
        deadline = time.monotonic() + LINGER_SECONDS
        self.stop_waiting()
        end_sending(self._sock)
        if self._reader_ended.wait(LINGER_SECONDS):  # otherwise it still reads, and a socket has one reader
            discard_input(self._sock, deadline - time.monotonic())

    def check_write_timeout(self) -> None:
        """Close the connection if the client has taken nothing for WRITE_SECONDS. To be called regularly."""
        since = self._writing_since
        if since is not None and time.monotonic() - since > WRITE_SECONDS:
            self._break()
            self._sock.close()

    def fileno(self) -> int:
        """The socket's file descriptor."""
        fd: int = self._sock.fileno()
        return fd

    def _write(self) -> None:
        try:
            while self._queue:
                self._write_block(memoryview(self._next_block()))
        except OSError:
            self._break()
        finally:
            self._is_writing = False
            self._writing_since = None
            if self._drained is not None:
                self._drained.set()

    def _write_block(self, block: memoryview) -> None:
        for start in range(0, len(block), MAX_BLOCK):
            piece = block[start : start + MAX_BLOCK]
            self._writing_since = time.monotonic()
            self._sock.sendall(piece)
            if self.broken:
                raise BrokenPipeError
            self.queued -= len(piece)
            if self.queued <= MAX_UNWRITTEN:
                self._keeps_up.set()
            give_way()

    def _next_block(self) -> bytes:
        """The next frame, or as many small ones as fit: one system call for many."""
        data = self._queue.popleft()
        if self._queue and len(data) < MAX_BLOCK:
            pieces, size = [data], len(data)
            while self._queue and size < MAX_BLOCK:
                pieces.append(self._queue.popleft())
                size += len(pieces[-1])
            data = b"".join(pieces)
        return data

    def _break(self) -> None:
        self.broken = True
        self._queue.clear()
        self.queued = 0
        self.stop_waiting()
        self.on_broken()
