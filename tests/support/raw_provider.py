"""A model provider for tests that answers each request with bytes of the test's choice, right or wrong."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

Play = Callable[[socket.socket], object]


def sends(*pieces: bytes) -> Play:
    """Sends the pieces one by one, then closes the connection."""

    def play(sock: socket.socket) -> None:
        for piece in pieces:
            sock.sendall(piece)

    return play


def floods(head: bytes, pieces: Iterable[bytes]) -> Play:
    """Sends `head`, then the pieces as fast as they are taken, until the other side closes the connection."""

    def play(sock: socket.socket) -> None:
        sock.sendall(head)
        for piece in pieces:
            sock.sendall(piece)

    return play


class RawProvider:
    """Start with `with`; `url` is the base URL for a configuration. `play` answers each request.

    `requests` counts them; `open` counts the answers under way.
    """

    def __init__(self, play: Play = sends()) -> None:  # noqa: B008
        self.play = play
        self.requests = 0
        self.open = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> RawProvider:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            if not _read_request(sock):
                return
            self._count(requests=1, open=1)
            try:
                self.play(sock)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
            finally:
                self._count(open=-1)

    def _count(self, requests: int = 0, open: int = 0) -> None:  # noqa: A002
        """Add to the counts. Each connection has a thread of its own."""
        with self._lock:
            self.requests += requests
            self.open += open


def _read_request(sock: socket.socket) -> bool:
    """Reads a request to its end; False if the connection is closed before it."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := sock.recv(65536)):
            return False
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0].partition(b":")[2]) - len(body)
    while missing > 0:
        if not (more := sock.recv(65536)):
            return False
        missing -= len(more)
    return True
