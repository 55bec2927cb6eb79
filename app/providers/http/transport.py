"""HTTP/1.1 to one provider: pooled connections, one TLS context, bytes as they arrive.

geventhttpclient's parser (llhttp, in C) reads the answers; connections, time limits and cancelling are ours.
Everything that blocks is a gevent operation of the calling greenlet, so that one exception thrown into that
greenlet interrupts it, whether it resolves a name, connects or reads.

What this module uses of the insides of gevent and geventhttpclient is held by
tests/unit/providers/http/test_library_contracts.py, which names the versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import gevent

from app.cancel import Cancel
from app.config.settings import ProviderTimeouts
from app.errors import UpstreamTimeout, UpstreamTruncated
from app.providers.http.headers import common_head, request_target
from app.providers.http.pool import Connection, ConnectionPool
from app.providers.http.proxy import Origin, Proxy
from app.providers.http.response import NoAnswer, Response


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
        """Send the request, and read the answer's headers.

        A kept connection may be closed by the provider in the moment in which it is used again: then the
        provider has not taken the request, and it is sent over a new one (RFC 9112, section 9.3.1).
        """
        connection = self._pool.take()
        try:
            return self._ask(connection, message)
        except NoAnswer:
            if connection.is_new:
                raise
        try:
            return self._ask(self._pool.connect(), message)
        except UpstreamTruncated as error:
            error.retries = 0  # this was the second time
            raise

    def _ask(self, connection: Connection, message: bytes) -> Response:
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
