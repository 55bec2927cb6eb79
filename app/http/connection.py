"""The client's connection: time limits on what it sends, and notice of its leaving."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from socket import MSG_PEEK
from types import TracebackType
from typing import Any

import gevent

from app.errors import RunAborted

READABLE = 1
WRITE_SECONDS = 120.0  # longer than any keep-alive, whose wait for the next request it also bounds


def limit_writes(environ: Mapping[str, Any]) -> None:
    """Give up on a client that takes nothing for WRITE_SECONDS; it would hold its answer for ever."""
    sock = environ.get("gunicorn.socket")
    if sock is not None:
        sock.settimeout(WRITE_SECONDS)


def client_left() -> RunAborted:
    return RunAborted("The client closed the connection.")


class ClientWatch:
    """Calls `on_leave`, once, when the client closes its side while the answer is being made.

    A server that only writes learns of it at its second write, and one that waits for a model never. Bytes
    that come instead of an end (the next request, sent early) are left alone and end the watch. A client
    that closes only its sending half counts as gone: it cannot be told from one that left.
    """

    def __init__(self, environ: Mapping[str, Any], on_leave: Callable[[], object]) -> None:
        self._sock = environ.get("gunicorn.socket")
        self._on_leave = on_leave
        self._watcher: Any = None

    def start(self) -> None:
        if self._sock is not None and not isinstance(self._sock, ssl.SSLSocket):  # TLS cannot be peeked into
            self._watcher = gevent.get_hub().loop.io(self._sock.fileno(), READABLE)
            self._watcher.start(self._look)

    def stop(self) -> None:
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
        # Called by the hub itself, so it must not wait: the plain socket inside gevent's never does.
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
