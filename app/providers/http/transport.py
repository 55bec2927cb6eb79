"""HTTP to one provider: pooled connections, a TLS context made once, bytes as they arrive.

geventhttpclient parses (llhttp, in C); connections, time limits and stopping are here. Everything that
blocks is a gevent operation of the calling greenlet, so one throw interrupts it, whether it resolves a
name, connects or reads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import gevent
from geventhttpclient.response import HTTPParseError, HTTPResponse

from app.cancel import Cancel
from app.config.settings import ProviderTimeouts
from app.errors import UpstreamError, UpstreamTimeout, UpstreamTruncated
from app.providers.http.pool import Connection, ConnectionPool

READ_SIZE = 64 * 1024
TAIL_SECONDS = 0.02


class Interrupted(Exception):
    """Thrown into a greenlet that waits on the network when its run is cancelled."""


@contextmanager
def interruptible(cancel: Cancel) -> Iterator[None]:
    """Let `cancel` break off whatever the block waits for on the network."""
    greenlet = gevent.getcurrent()
    pending: list[object] = []

    def interrupt() -> None:
        pending.append(gevent.get_hub().loop.run_callback(greenlet.throw, Interrupted()))

    try:
        with cancel.waking(interrupt):
            yield
    finally:
        for callback in pending:
            callback.stop()  # type: ignore[attr-defined]  # a throw that is too late must not hit later code


class Response:
    """A provider's answer. `read_some` gives the body's bytes as they arrive."""

    def __init__(self, pool: ConnectionPool, connection: Connection) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._parser = HTTPResponse("POST")

    @property
    def status(self) -> int:
        return int(self._parser.get_code())

    def header(self, name: str) -> str | None:
        value = self._parser.get(name)
        return value[0] if isinstance(value, list) else value

    def read_headers(self, timeout: float) -> None:
        started = False
        deadline = time.monotonic() + timeout
        while not self._parser.headers_complete or self.status < 200:
            data = self._receive(deadline - time.monotonic(), reset_is_end=not started)
            if not data:
                raise UpstreamTruncated(
                    "The provider closed the connection "
                    + ("in the middle of its headers." if started else "without an answer.")
                )
            started = True
            self._feed(data)

    def read_some(self, timeout: float) -> bytes:
        """The next bytes of the body, at most `timeout` seconds from now; b"" at its end.

        Raises TimeoutError, UpstreamTruncated when the body is cut, UpstreamError when it is no HTTP.
        """
        parser = self._parser
        while not parser._body_buffer and not parser.message_complete:
            data = self._receive(timeout)
            self._feed(data)
            if not data and not parser.message_complete:
                raise UpstreamTruncated("The provider closed the connection before its answer was complete.")
        body = bytes(parser._body_buffer)
        parser._body_buffer.clear()
        return body

    def read_all(self, timeout: float, limit: int) -> bytes:
        """The body, or as much of it as comes within `timeout` seconds and fits in `limit` bytes."""
        deadline = time.monotonic() + timeout
        body = b""
        try:
            while len(body) < limit and (piece := self.read_some(deadline - time.monotonic())):
                body += piece
        except (TimeoutError, UpstreamTruncated, UpstreamError):
            return body[:limit]
        return body[:limit]

    def close(self) -> None:
        """Keep the connection for the next call if the answer was read to its end, else drop it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._parser.message_complete and not self._parser.should_close():
            self._pool.keep(connection)
        else:
            connection.close()

    def finish(self) -> None:
        """The caller has all it wants: take the few bytes that end the body, so that `close` can keep it."""
        try:
            while self.read_some(TAIL_SECONDS):
                pass
        except (TimeoutError, UpstreamTruncated, UpstreamError):
            return

    def _receive(self, timeout: float, reset_is_end: bool = False) -> bytes:
        if self._connection is None:
            return b""
        if timeout <= 0:
            raise TimeoutError
        sock = self._connection.sock
        sock.settimeout(timeout)
        try:
            return bytes(sock.recv(READ_SIZE))
        except TimeoutError:
            raise
        except OSError as error:
            if reset_is_end:
                return b""
            raise UpstreamTruncated("The connection to the provider broke off.") from error

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
        except HTTPParseError as error:
            if not data:
                raise UpstreamTruncated("The provider's answer was cut short.") from error
            raise UpstreamError("The provider's answer is not HTTP. Is its base URL right?") from error


class Transport:
    """Talks to one base URL. Safe for any number of greenlets; holds no request's data."""

    def __init__(self, base_url: str, timeouts: ProviderTimeouts, headers: Mapping[str, str]) -> None:
        url = urlsplit(base_url)
        tls = url.scheme == "https"
        port = url.port or (443 if tls else 80)
        self._pool = ConnectionPool(url.hostname or "", port, tls, timeouts.connect)
        self._path = url.path.rstrip("/")
        self._timeouts = timeouts
        fixed = {"Host": url.netloc, "User-Agent": "openclaw-gateway", "Content-Type": "application/json"}
        lines = [f"{name}: {value}\r\n" for name, value in {**fixed, **headers}.items()]
        self._head = "".join(lines).encode("utf-8")

    @contextmanager
    def post(self, path: str, body: bytes, headers: Mapping[str, str], cancel: Cancel) -> Iterator[Response]:
        """POST `body`; the block gets the answer once its headers are there, and may read it.

        Raises UpstreamTimeout and UpstreamError (connection refused, name unknown, broken TLS).
        """
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"POST {self._path}{path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n{''.join(lines)}"
        message = head.encode("latin-1") + self._head + b"\r\n" + body
        with interruptible(cancel):
            response = self._exchange(message)
            try:
                yield response
            finally:
                response.close()

    def close(self) -> None:
        self._pool.close()

    def _exchange(self, message: bytes) -> Response:
        connection = self._pool.take()
        response = Response(self._pool, connection)
        try:
            connection.sock.settimeout(self._timeouts.first_token)
            self._send(connection, message)
            response.read_headers(self._timeouts.first_token)
        except TimeoutError as error:
            response.close()
            raise UpstreamTimeout(
                f"The provider did not begin to answer within {self._timeouts.first_token:g} s."
            ) from error
        except BaseException:
            response.close()
            raise
        return response

    def _send(self, connection: Connection, message: bytes) -> None:
        try:
            connection.sock.sendall(message)
        except TimeoutError:
            raise
        except OSError:
            # It may have answered already (413, 401) and closed: reading tells.
            return
