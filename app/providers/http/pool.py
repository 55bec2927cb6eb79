"""Connections to one provider: opened when needed, kept while idle, used by one call at a time."""

from __future__ import annotations

import time

import certifi
import gevent.select
import gevent.socket
import gevent.ssl

from app.errors import UpstreamError, UpstreamTimeout

MAX_IDLE_CONNECTIONS = 64
MAX_IDLE_SECONDS = 60.0


class Connection:
    """A connected socket. `idle_since` is `time.monotonic()` of when it was last used."""

    def __init__(self, sock: gevent.socket.socket) -> None:
        self.sock = sock
        self.idle_since = 0.0

    def close(self) -> None:
        self.sock.close()


class ConnectionPool:
    """Connects to one host; keeps the idle connections, of which the one used last is taken first.

    All share one TLS context. `connect_seconds` bounds connecting, and then the TLS handshake.
    """

    def __init__(self, host: str, port: int, tls: bool, connect_seconds: float) -> None:
        self._host = host
        self._port = port
        self._tls = gevent.ssl.create_default_context(cafile=certifi.where()) if tls else None
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
        if self._tls is not None:  # a TLS socket cannot peek
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
        where = f"{self._host}:{self._port}"
        try:
            sock = gevent.socket.create_connection((self._host, self._port), timeout=self._seconds)
        except TimeoutError as error:
            raise self._timed_out(f"No connection to the provider at {where}") from error
        except OSError as error:
            why = _reason(error)
            raise UpstreamError(f"Cannot connect to the provider at {where}: {why}.", retries=2) from error
        try:
            sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            return self._wrap(sock, where)
        except BaseException:
            sock.close()
            raise

    def _wrap(self, sock: gevent.socket.socket, where: str) -> gevent.socket.socket:
        if self._tls is None:
            return sock
        try:
            return self._tls.wrap_socket(sock, server_hostname=self._host)
        except TimeoutError as error:
            raise self._timed_out(f"No TLS handshake with the provider at {where}") from error
        except OSError as error:
            raise UpstreamError(f"TLS with the provider at {where} failed: {_reason(error)}.") from error

    def _timed_out(self, what: str) -> UpstreamTimeout:
        return UpstreamTimeout(f"{what} within {self._seconds:g} s.")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
