"""An HTTP connection to one IP address that was checked before, with one deadline for all that it does.

`fetch.py` decides where to connect. Nothing here resolves a name or reads the environment (proxies).
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import Any

from app.concurrency.fairness import give_way
from app.media.target import Target


class Deadline:
    """Ends `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left. Raises TimeoutError if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class PinnedConnection(http.client.HTTPConnection):
    """Connects to `address`, not to the name; with TLS the certificate must be valid for the name."""

    def __init__(
        self, target: Target, address: str, deadline: Deadline, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(target.host, target.port)
        self._address = address
        self._deadline = deadline
        self._tls = tls
        self._raw: socket.socket | None = None

    def open(self, seconds: float) -> None:
        """Connect within `seconds`, and do the TLS handshake before the deadline. Raises OSError."""
        self._raw = socket.create_connection((self._address, self.port), timeout=seconds)
        if self._tls is not None:
            self._raw.settimeout(self._deadline.left())
            self._raw = self._tls.wrap_socket(self._raw, server_hostname=self.host)
        self.sock: Any = _TimedSocket(self._raw, self._deadline)

    def connect(self) -> None:
        """http.client calls this when it has no socket: a lost connection must not be replaced by another."""
        raise http.client.NotConnected

    def hang_up(self) -> None:
        """Close the socket. http.client calls `close` itself, while the body is still to be read."""
        self.close()
        if self._raw is not None:
            self._raw.close()


class _TimedSocket:
    """The part of a socket that http.client uses. Each wait ends at the deadline, even for a trickle."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.left())
        self._sock.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._deadline))

    def close(self) -> None:
        """Does nothing: `hang_up` closes."""


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        size = self._sock.recv_into(buffer)
        give_way()
        return size
