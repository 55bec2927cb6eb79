"""The client's connection: a time limit on writes, and a watch for the client's disconnecting."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from socket import MSG_PEEK
from types import TracebackType
from typing import Any

import gevent

from app.errors import RunAborted

READABLE = 1  # libev's EV_READ, as gevent's `loop.io` takes it


def limit_writes(environ: Mapping[str, Any], seconds: float) -> None:
    """Disconnect a client that reads nothing of its answer for `seconds` (docs/http.md#limits).

    Without a time-out on its socket, a write to such a client would block for ever, and keep its run alive.
    """
    sock = environ.get("gunicorn.socket")
    if sock is not None:
        sock.settimeout(seconds)


def client_left() -> RunAborted:
    """The reason of a run that is stopped because its client disconnected."""
    return RunAborted("The client closed the connection.")


class ClientWatch:
    """Calls `on_leave`, once, when the client closes its side while its answer is being produced.

    A server that only writes notices a closed connection at its second write at the earliest, and not at all
    while it waits for a model. So the socket is watched on gevent's event loop for becoming readable, and
    then one byte is peeked at, which takes nothing away from the server: no byte means that the client has
    closed; a byte is the next request, sent early (pipelining), and ends the watch. A client that closes only
    its sending half cannot be distinguished from one that has disconnected, and counts as that.

    Two private doors are used, both tested in tests/unit/http/test_http_library_contracts.py: gevent's
    `loop.io`, whose callback runs in the event loop itself, and `_sock`, the plain socket inside a gevent
    socket. gunicorn passes the socket as `gunicorn.socket`.
    """

    def __init__(self, environ: Mapping[str, Any], on_leave: Callable[[], object]) -> None:
        self._sock = environ.get("gunicorn.socket")
        self._on_leave = on_leave
        self._watcher: Any = None

    def start(self) -> None:
        """Begin to watch. Does nothing over TLS, which cannot be peeked at, and without a socket."""
        if self._sock is not None and not isinstance(self._sock, ssl.SSLSocket):
            self._watcher = gevent.get_hub().loop.io(self._sock.fileno(), READABLE)
            self._watcher.start(self._look)

    def stop(self) -> None:
        """End the watch; may be called more than once."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()

    def __enter__(self) -> ClientWatch:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _look(self) -> None:
        # Called in the event loop, so it must not block, as a gevent socket would: the plain one inside it is
        # non-blocking. For the same reason `on_leave` is called in a greenlet of its own.
        assert self._sock is not None
        try:
            data = self._sock._sock.recv(1, MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.stop()
        if not data:
            gevent.spawn(self._on_leave)
