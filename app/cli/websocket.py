"""A WebSocket as a client needs it, on wsproto: text frames out and in, one thread, a deadline for each wait.

simple-websocket's client connects without a deadline and to a name's first address only, writes large
messages in part, and holds back a message that comes together with the upgrade's answer.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

READ_BYTES = 64 * 1024
NO_CODE = 1006  # as RFC 6455 names an end without a close frame


class UpgradeRefused(Exception):
    """The server answered with an HTTP status instead. `said` is its error's message, if it has one."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"HTTP {status}" + (f": {said}" if said else ""))


class Closed(Exception):
    """The other side has closed, or the connection is lost."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class WebSocket:
    """An open connection. Raises OSError and UpgradeRefused if there is none to be had."""

    def __init__(self, url: str, timeout: float) -> None:
        self._texts: deque[str] = deque()
        self._pieces: list[str] = []
        self._closed: Closed | None = None
        self._accepted = False
        self._refusal: list[bytes] = []
        self._refused: int | None = None
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._sock = _connect(url, timeout)
        try:
            parts = urlsplit(url)
            self._sock.sendall(self._protocol.send(Request(host=parts.netloc, target=parts.path or "/")))
            self._await_upgrade(time.monotonic() + timeout)
        except BaseException:
            self._sock.close()
            raise

    def send(self, text: str) -> None:
        """Raises Closed."""
        self._raise_closed()
        try:
            self._sock.settimeout(None)
            self._sock.sendall(self._protocol.send(TextMessage(data=text)))
        except OSError as error:
            raise Closed(NO_CODE, str(error)) from error

    def receive(self, timeout: float) -> str | None:
        """The next text; None if none came in time. Raises Closed."""
        deadline = time.monotonic() + timeout
        while not self._texts:
            self._raise_closed()
            if not self._read(deadline - time.monotonic()):
                return None
        return self._texts.popleft()

    def close(self) -> None:
        with suppress(OSError, LocalProtocolError):
            self._sock.sendall(self._protocol.send(CloseConnection(code=1000)))
        self._sock.close()

    def _await_upgrade(self, deadline: float) -> None:
        while not self._accepted:
            if not self._read(deadline - time.monotonic()):
                raise TimeoutError("no answer to the upgrade")
            if self._closed is not None:
                raise ConnectionResetError(f"the connection was closed: {self._closed}")

    def _raise_closed(self) -> None:
        if self._closed is not None:
            raise self._closed

    def _read(self, seconds: float) -> bool:
        """Takes in what has arrived. False if nothing did in time."""
        self._raise_closed()
        self._sock.settimeout(max(0.001, seconds))
        try:
            data = self._sock.recv(READ_BYTES)
            self._protocol.receive_data(data or None)
            for event in self._protocol.events():
                self._take(event)
        except TimeoutError:
            return False
        except (OSError, LocalProtocolError, RemoteProtocolError) as error:
            self._closed = Closed(NO_CODE, str(error))
        else:
            if not data and self._closed is None:
                self._closed = Closed(NO_CODE, "the connection was lost")
        return True

    def _take(self, event: Event) -> None:
        match event:
            case AcceptConnection():
                self._accepted = True
            case RejectConnection(status_code=status, has_body=has_body):
                self._refused = status
                if not has_body:
                    raise UpgradeRefused(status, "")
            case RejectData(data=data, body_finished=finished):
                self._refusal.append(bytes(data))
                if finished:
                    raise UpgradeRefused(self._refused or 0, _message(b"".join(self._refusal)))
            case TextMessage(data=text, message_finished=finished):
                self._pieces.append(text)
                if finished:
                    self._texts.append("".join(self._pieces))
                    self._pieces.clear()
            case Ping():
                self._sock.settimeout(None)
                self._sock.sendall(self._protocol.send(event.response()))
            case CloseConnection(code=code, reason=reason):
                self._closed = Closed(code, reason or "")


def _connect(url: str, timeout: float) -> socket.socket:
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    sock = socket.create_connection((host, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not secure:
        return sock
    try:
        return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])[:500]
    except (ValueError, LookupError, TypeError):
        return ""
