"""A client's WebSocket on wsproto: text messages out and in, one thread, a deadline for each wait.

simple-websocket's client connects without a deadline and to a name's first address only, writes large
messages in part, and holds back a message that arrives together with the upgrade's answer.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
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

from app.client.errors import ABNORMAL_CLOSURE, UpgradeRefused

READ_BYTES = 64 * 1024
NORMAL_CLOSURE = 1000
MAX_ERROR_MESSAGE = 500  # characters of a server's own words in ours


class Closed(Exception):
    """The other side has closed, or the connection is lost."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class WebSocket:
    """An open connection. `sock` is its TCP or TLS socket; `extensions` are those the server has accepted.

    Raises OSError if there is no connection, UpgradeRefused if the server answers with an HTTP status.
    """

    def __init__(
        self, url: str, timeout: float, *, host: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """`timeout` is in seconds. `host` replaces the URL's in the Host header, `headers` are added."""
        self.extensions: list[str] = []
        self._texts: deque[str] = deque()
        self._pieces: list[str] = []
        self._closed: Closed | None = None
        self._accepted = False
        self._refusal: list[bytes] = []
        self._refused_status = 0
        self._url = url
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self.sock = _connect(url, timeout)
        try:
            self.sock.sendall(self._protocol.send(_upgrade_request(url, host, headers or {})))
            self._await_upgrade(time.monotonic() + timeout)
        except BaseException:
            self.sock.close()
            raise

    def send(self, text: str, *, final: bool = True) -> None:
        """Sends a text message, or with `final` False a fragment of one. Raises Closed."""
        self._raise_closed()
        try:
            self.sock.settimeout(None)
            self.sock.sendall(self._protocol.send(TextMessage(data=text, message_finished=final)))
        except (OSError, LocalProtocolError) as error:
            raise Closed(ABNORMAL_CLOSURE, str(error)) from error

    def receive(self, timeout: float) -> str | None:
        """The next text message; None if none came within `timeout` seconds. Raises Closed."""
        deadline = time.monotonic() + timeout
        while not self._texts:
            self._raise_closed()
            if not self._read(deadline - time.monotonic()):
                return None
        return self._texts.popleft()

    def close(self, timeout: float = 0.0) -> None:
        """Sends a close frame, waits up to `timeout` seconds for the server's, and closes the socket."""
        with suppress(OSError, LocalProtocolError):
            self.sock.sendall(self._protocol.send(CloseConnection(code=NORMAL_CLOSURE)))
            deadline = time.monotonic() + timeout
            while timeout and self._closed is None and self._read(deadline - time.monotonic()):
                pass
        self.sock.close()

    def drop(self) -> None:
        """Closes the socket without a close frame, as a client that crashes."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

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
        """Handles what has arrived. False if nothing did in time."""
        self._raise_closed()
        self.sock.settimeout(max(0.001, seconds))
        try:
            data = self.sock.recv(READ_BYTES)
            self._protocol.receive_data(data or None)
            for event in self._protocol.events():
                self._handle(event)
        except TimeoutError:
            return False
        except (OSError, LocalProtocolError, RemoteProtocolError) as error:
            self._closed = Closed(ABNORMAL_CLOSURE, str(error))
        else:
            if not data and self._closed is None:
                self._closed = Closed(ABNORMAL_CLOSURE, "the connection was lost")
        return True

    def _handle(self, event: Event) -> None:
        match event:
            case AcceptConnection(extensions=extensions):
                self._accepted = True
                self.extensions = [str(one) for one in extensions]
            case RejectConnection(status_code=status, has_body=has_body):
                self._refused_status = status
                if not has_body:
                    raise self._refused("")
            case RejectData(data=data, body_finished=finished):
                self._refusal.append(bytes(data))
                if finished:
                    raise self._refused(_error_message(b"".join(self._refusal)))
            case TextMessage(data=text, message_finished=finished):
                self._pieces.append(text)
                if finished:
                    self._texts.append("".join(self._pieces))
                    self._pieces.clear()
            case Ping():
                self.sock.settimeout(None)
                self.sock.sendall(self._protocol.send(event.response()))
            case CloseConnection(code=code, reason=reason):
                self._closed = Closed(code, reason or "")

    def _refused(self, message: str) -> UpgradeRefused:
        answer = f"HTTP {self._refused_status}" + (f": {message}" if message else "")
        return UpgradeRefused(
            f"{self._url} refuses the connection ({answer}). Is it a gateway?", self._refused_status
        )


def _upgrade_request(url: str, host: str | None, headers: Mapping[str, str]) -> Request:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request(host=host or parts.netloc, target=target, extra_headers=extra)


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


def _error_message(body: bytes) -> str:
    """The message of an error in OpenAI's shape; empty for any other body."""
    try:
        return str(json.loads(body)["error"]["message"])[:MAX_ERROR_MESSAGE]
    except (ValueError, LookupError, TypeError):
        return ""
