"""Connections to one provider: opened when needed, kept while idle, used by one call at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import certifi
import gevent.select
import gevent.socket
import gevent.ssl

from app.errors import UpstreamError, UpstreamTimeout
from app.providers.http.proxy import Origin, Proxy, open_tunnel

MAX_IDLE_CONNECTIONS = 64
MAX_IDLE_SECONDS = 60.0


class Connection:
    """A connected socket. `idle_since` is `time.monotonic()` of when it was last used, 0 for a new one."""

    def __init__(self, sock: gevent.socket.socket) -> None:
        self.sock = sock
        self.idle_since = 0.0

    @property
    def is_new(self) -> bool:
        """Whether it has had no request before."""
        return not self.idle_since

    def close(self) -> None:
        self.sock.close()


class ConnectionPool:
    """Connects to one host; keeps the idle connections, of which the one used last is taken first.

    All share one TLS context. `connect_seconds` bounds connecting, then the proxy's answer, then the TLS
    handshake. With `proxy` the connections go there: with TLS through a tunnel, else to the proxy itself.
    `ca_files` have certificate authorities to trust besides the public ones.
    """

    def __init__(
        self,
        origin: Origin,
        connect_seconds: float,
        proxy: Proxy | None = None,
        ca_files: Sequence[Path] = (),
    ) -> None:
        self._origin = origin
        self._proxy = proxy
        self._ca_files = ca_files
        self._seconds = connect_seconds
        self._idle: list[Connection] = []

    def take(self) -> Connection:
        """An idle connection that looks alive, or a new one.

        Raises UpstreamTimeout and UpstreamError (name unknown, connection refused, broken TLS).
        """
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if now - connection.idle_since < MAX_IDLE_SECONDS and self._is_quiet(connection):
                return connection
            connection.close()
        return self.connect()

    def connect(self) -> Connection:
        """A new connection. Raises what `take` raises."""
        return Connection(self._connect())

    def keep(self, connection: Connection) -> None:
        """Take back a connection that is ready for another request."""
        connection.idle_since = time.monotonic()
        if len(self._idle) >= MAX_IDLE_CONNECTIONS:
            self._idle.pop(0).close()
        self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _is_quiet(self, connection: Connection) -> bool:
        """Whether there is nothing to read: else the server has closed it, or sent something unasked."""
        if self._origin.tls:  # a TLS socket cannot peek
            readable, _, _ = gevent.select.select([connection.sock], [], [], 0)
            return not readable
        connection.sock.settimeout(0.0)
        try:
            connection.sock.recv(1, gevent.socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _connect(self) -> gevent.socket.socket:
        origin, proxy = self._origin, self._proxy
        address, what = (origin, "provider") if proxy is None else (proxy, "proxy")
        where = f"the {what} at {address.host}:{address.port}"
        try:
            sock = gevent.socket.create_connection((address.host, address.port), timeout=self._seconds)
        except TimeoutError as error:
            raise self._timed_out(f"No connection to {where}") from error
        except OSError as error:
            raise UpstreamError(f"Cannot connect to {where}: {_reason(error)}.", retries=2) from error
        try:
            sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            if origin.tls and proxy is not None:
                self._open_tunnel(sock, proxy)
            return self._wrap(sock) if origin.tls else sock
        except BaseException:
            sock.close()
            raise

    def _open_tunnel(self, sock: gevent.socket.socket, proxy: Proxy) -> None:
        try:
            open_tunnel(sock, proxy, self._origin, self._seconds)
        except TimeoutError as error:
            raise self._timed_out(f"No answer of the proxy at {proxy.host}:{proxy.port}") from error

    def _wrap(self, sock: gevent.socket.socket) -> gevent.socket.socket:
        where = f"the provider at {self._origin.host}:{self._origin.port}"
        try:
            return self._tls.wrap_socket(sock, server_hostname=self._origin.host)
        except TimeoutError as error:
            raise self._timed_out(f"No TLS handshake with {where}") from error
        except OSError as error:
            hint = " If its certificate authority is your own: `tls.caFile`." if _is_untrusted(error) else ""
            raise UpstreamError(f"TLS with {where} failed: {_reason(error)}.{hint}") from error

    @cached_property
    def _tls(self) -> gevent.ssl.SSLContext:
        """Made by the first connection: it takes some 30 ms."""
        context = gevent.ssl.create_default_context(cafile=certifi.where())
        for file in self._ca_files:
            try:
                context.load_verify_locations(cafile=file)
            except OSError as error:
                raise UpstreamError(
                    f"The certificate authorities in {file} cannot be loaded: {_reason(error)}."
                ) from error
        return context

    def _timed_out(self, what: str) -> UpstreamTimeout:
        return UpstreamTimeout(f"{what} within {self._seconds:g} s.")


def _is_untrusted(error: OSError) -> bool:
    return isinstance(error, gevent.ssl.SSLCertVerificationError)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
