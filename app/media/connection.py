"""An HTTP connection to one address that has been checked, under one deadline for everything it does.

Above it is `fetch.py`, which decides where to connect. Never resolves a name and reads no environment.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import Any

from app.media.target import Target


class Deadline:
    """The time that is left of a number of seconds."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Raises TimeoutError when there is none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class PinnedConnection(http.client.HTTPConnection):
    """Connects to `address`, whatever the name says; with TLS the certificate must be the name's."""

    def __init__(
        self, target: Target, address: str, deadline: Deadline, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(target.host, target.port)
        self._address = address
        self._deadline = deadline
        self._tls = tls
        self._raw: socket.socket | None = None

    def open(self, seconds: float) -> None:
        """Connect within `seconds`. Raises OSError."""
        self._raw = socket.create_connection((self._address, self.port), timeout=seconds)
        if self._tls is not None:
            self._raw.settimeout(self._deadline.left())
            self._raw = self._tls.wrap_socket(self._raw, server_hostname=self.host)
        self.sock: Any = _TimedSocket(self._raw, self._deadline)

    def connect(self) -> None:
        """Called by http.client when it finds no socket: one that is lost must not be replaced."""
        raise http.client.NotConnected

    def hang_up(self) -> None:
        """Close for good. http.client's own `close` comes while the body is still to be read."""
        self.close()
        if self._raw is not None:
            self._raw.close()


class _TimedSocket:
    """What http.client wants of a socket; every wait ends at the deadline, however slowly bytes drip."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.left())
        self._sock.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._deadline))

    def close(self) -> None:
        """Nothing: `hang_up` closes."""


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        return self._sock.recv_into(buffer)
