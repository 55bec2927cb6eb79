"""HTTP/1.1 to one provider: pooled connections, one TLS context, bytes as they arrive.

geventhttpclient's parser (llhttp, in C) reads the answers; connections, time limits and cancelling are ours.
Everything that blocks is a gevent operation of the calling greenlet, so that one exception thrown into that
greenlet interrupts it, whether it resolves a name, connects or reads.

What this module uses of the insides of gevent and geventhttpclient is held by
tests/unit/providers/http/test_library_contracts.py, which names the versions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import gevent
from geventhttpclient.response import HTTPParseError, HTTPResponse

from app.cancel import Cancel
from app.config.settings import ProviderTimeouts
from app.errors import UpstreamError, UpstreamTimeout, UpstreamTruncated
from app.providers.http.headers import common_head, request_target
from app.providers.http.pool import Connection, ConnectionPool
from app.providers.http.proxy import Origin, Proxy

READ_SIZE = 64 * 1024
MAX_ERROR_BYTES = 64 * 1024
MAX_ERROR_SECONDS = 5.0  # for the body of an answer that is an error
MAX_TAIL_SECONDS = 0.02  # for what follows the last event


class Interrupted(Exception):
    """Thrown into a greenlet that waits on the network when its run is cancelled."""


@contextmanager
def interruptible(cancel: Cancel) -> Iterator[None]:
    """Let `cancel` interrupt whatever the block waits for on the network, by raising Interrupted there.

    `cancel` may be called from any greenlet of this thread. It does not throw at once but asks gevent's loop
    to do so: `greenlet.throw` switches to the greenlet that it throws into, and the one that cancels has to
    go on. By then the block may have ended, and the greenlet may wait for something else; such a throw is
    taken back with the callback's `stop`.
    """
    greenlet = gevent.getcurrent()
    pending: list[object] = []

    def interrupt() -> None:
        pending.append(gevent.get_hub().loop.run_callback(greenlet.throw, Interrupted()))

    try:
        with cancel.waking(interrupt):
            yield
    finally:
        for callback in pending:
            callback.stop()  # type: ignore[attr-defined]


class Response:
    """A provider's answer. `read_some` gives the body's bytes as they arrive.

    geventhttpclient's `HTTPResponse` is meant for its own client, which reads in blocks of a fixed size: only
    its parser is used. Bytes given to `feed` end up, without headers and chunk sizes, in `_body_buffer`, a
    bytearray; the public `read` of its subclass would wait until it has as much as it was asked for.
    """

    def __init__(self, pool: ConnectionPool, connection: Connection) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._parser = HTTPResponse("POST")

    @property
    def status(self) -> int:
        """The HTTP status, once the headers have been read."""
        return int(self._parser.get_code())

    def header(self, name: str) -> str | None:
        """A header's value, the first if it was sent several times. Names may be in any case."""
        value = self._parser.get(name)
        return value[0] if isinstance(value, list) else value

    def read_headers(self, timeout: float) -> None:
        """Read until the status and headers are known, skipping answers such as 100 Continue.

        Raises TimeoutError after `timeout` seconds, UpstreamTruncated, UpstreamError if it is not HTTP.
        """
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
        """The next bytes of the body, b"" at its end.

        Raises TimeoutError when none come for `timeout` seconds, UpstreamTruncated if the connection ends
        before the body does, UpstreamError if it is not HTTP.
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

    def read_error(self) -> bytes:
        """The body of an error: what comes in MAX_ERROR_SECONDS and fits in MAX_ERROR_BYTES."""
        deadline = time.monotonic() + MAX_ERROR_SECONDS
        body = bytearray()
        try:
            while len(body) < MAX_ERROR_BYTES and (piece := self.read_some(deadline - time.monotonic())):
                body += piece
        except (TimeoutError, UpstreamTruncated, UpstreamError):
            pass  # what has come says enough
        return bytes(body[:MAX_ERROR_BYTES])

    def close(self) -> None:
        """Return the connection to the pool if the answer was read to its end, else close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._parser.message_complete and not self._parser.should_close():
            self._pool.keep(connection)
        else:
            connection.close()

    def finish(self) -> None:
        """Read the few bytes that end the body, so that `close` can keep the connection.

        For a caller that knows from the body itself that no more of interest will come.
        """
        try:
            while self.read_some(MAX_TAIL_SECONDS):
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
    """Sends requests to one base URL. May be used by any number of greenlets; keeps no request's data."""

    def __init__(
        self,
        base_url: str,
        timeouts: ProviderTimeouts,
        headers: Mapping[str, str],
        proxy_url: str | None = None,
        ca_files: Sequence[Path] = (),
    ) -> None:
        """`proxy_url` is that of an HTTP proxy; `ca_files` have certificate authorities to trust besides the
        public ones.
        """
        origin = Origin.parse(base_url)
        proxy = Proxy.parse(proxy_url) if proxy_url else None
        self._pool = ConnectionPool(origin, timeouts.connect, proxy, ca_files)
        self._path, self._query = request_target(base_url, origin, proxy)
        self._timeouts = timeouts
        self._head = common_head(headers, origin, proxy)

    @contextmanager
    def post(self, path: str, body: bytes, headers: Mapping[str, str], cancel: Cancel) -> Iterator[Response]:
        """POST `body` to `path` below the base URL; the block gets the answer once its headers are there.

        Raises UpstreamTimeout, UpstreamTruncated and UpstreamError (connection refused, name unknown, broken
        TLS, not HTTP), and the error of `cancel` when that is called.
        """
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        target = f"{self._path}{path}{self._query}"
        head = f"POST {target} HTTP/1.1\r\nContent-Length: {len(body)}\r\n{''.join(lines)}"
        message = head.encode("latin-1") + self._head + b"\r\n" + body
        with interruptible(cancel):
            response = self._exchange(message)
            try:
                yield response
            finally:
                response.close()

    def close(self) -> None:
        """Close the idle connections. Calls under way keep theirs."""
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
            return  # it may have answered already (413, 401) and closed the connection: reading will show
