"""HTTP connections to one server: proxies, TLS, time limits, and an end that may come from another greenlet.

On the standard library's client, whose sockets are cooperative in a worker and block a thread elsewhere.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import certifi

from app.concurrency.fairness import give_way
from app.errors import ProviderError
from app.providers.http.proxy import Origin, Proxy, open_tunnel
from app.tools.mcp.protocol import McpError, ServerUnavailable

MAX_IDLE_SECONDS = 30.0
MAX_IDLE = 8
_KEPT = "/?%:@&=+$,;~*'()!-._[]|"  # of a URL: all else is percent-encoded


class Connection:
    """One connection. Each wait on it ends at `deadline`, on the monotonic clock, with a TimeoutError."""

    def __init__(self, sock: Any, host: str) -> None:
        self._sock = sock
        self.deadline = 0.0
        self.idle_since = 0.0
        self._client = http.client.HTTPConnection(host)
        self._client.sock = self
        self._client.auto_open = 0

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> http.client.HTTPResponse:
        """The answer, once its headers are there. Raises OSError (TimeoutError) and HTTPException."""
        self.deadline = time.monotonic() + seconds
        self._client.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            self._client.putheader(name, value.encode("utf-8"))
        if body is not None:
            self._client.putheader("Content-Length", str(len(body)))
        self._client.endheaders(body)
        return self._client.getresponse()

    def abort(self) -> None:
        """Wake whoever waits on the connection, from any greenlet or thread."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def hang_up(self) -> None:
        self._client.close()
        with suppress(OSError):
            self._sock.close()

    def is_quiet(self) -> bool:
        """Whether it can be used again: nothing has arrived, not even its end."""
        if time.monotonic() - self.idle_since > MAX_IDLE_SECONDS:
            return False
        self._sock.settimeout(0.0)
        try:
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    # The part of a socket that http.client uses.

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._left())
        self._sock.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Does nothing: http.client closes while the body is still to be read. `hang_up` closes."""

    def receive_into(self, buffer: Any) -> int:
        self._sock.settimeout(self._left())
        size: int = self._sock.recv_into(buffer)
        give_way()
        return size

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Reader(io.RawIOBase):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.receive_into(buffer)


class Connector:
    """Connects to the server at `url`, and keeps connections that can be used again."""

    def __init__(self, url: str, proxy_url: str | None, ca_files: Sequence[Path], verify: bool) -> None:
        self.origin = Origin.parse(url)
        self._proxy = Proxy.parse(proxy_url) if proxy_url else None
        self._ca_files, self._verify = ca_files, verify
        self._idle: list[Connection] = []
        self._closed = False

    @property
    def headers(self) -> dict[str, str]:
        """Those that say where a request goes."""
        fixed = {"Host": self.origin.authority}
        if self._proxy is not None and not self.origin.tls and self._proxy.authorization is not None:
            fixed["Proxy-Authorization"] = self._proxy.authorization
        return fixed

    def target(self, url: str) -> str:
        """What is asked for at that URL; a proxy is asked for whole URLs."""
        parts = urlsplit(url)
        path = quote(parts.path or "/", safe=_KEPT) + (
            f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
        )
        if self._proxy is not None and not self.origin.tls:
            return f"http://{self.origin.authority}{path}"
        return path

    def take(self, seconds: float) -> Connection:
        """An idle connection, or a new one. Raises ServerUnavailable."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_quiet():
                return connection
            connection.hang_up()
        return self.connect(seconds)

    def keep(self, connection: Connection) -> None:
        if self._closed:
            return connection.hang_up()
        connection.idle_since = time.monotonic()
        if len(self._idle) >= MAX_IDLE:
            self._idle.pop(0).hang_up()
        return self._idle.append(connection)

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().hang_up()

    def connect(self, seconds: float) -> Connection:
        """A new connection. Raises ServerUnavailable."""
        address: Origin | Proxy = self._proxy or self.origin
        where = f"{'the proxy' if self._proxy else 'its address'} {address.host}:{address.port}"
        try:
            sock: Any = socket.create_connection((address.host, address.port), timeout=seconds)
        except TimeoutError:
            raise ServerUnavailable(f"no connection to {where} within {seconds:g} s") from None
        except (OSError, UnicodeError) as error:
            raise ServerUnavailable(f"no connection to {where}: {_reason(error)}") from None
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.origin.tls:
                sock = self._secure(sock, seconds)
            return Connection(sock, self.origin.host)
        except BaseException:
            sock.close()
            raise

    def _secure(self, sock: Any, seconds: float) -> Any:
        try:
            if self._proxy is not None:
                open_tunnel(sock, self._proxy, self.origin, seconds)
            sock.settimeout(seconds)
            return self._tls.wrap_socket(sock, server_hostname=self.origin.host)
        except ProviderError as error:
            raise ServerUnavailable(error.message) from None
        except TimeoutError:
            raise ServerUnavailable(f"no TLS connection within {seconds:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise ServerUnavailable(
                f"its certificate is not trusted ({error.verify_message}). If its authority is your own: "
                "SSL_CERT_FILE in the gateway's environment"
            ) from None
        except OSError as error:
            raise ServerUnavailable(f"no TLS connection: {_reason(error)}") from None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made by the first connection: it takes some 30 ms."""
        context = ssl.create_default_context(cafile=certifi.where())
        for file in self._ca_files:
            try:
                context.load_verify_locations(cafile=file)
            except OSError as error:
                raise McpError(f"the certificate authorities in {file} cannot be loaded") from error
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
