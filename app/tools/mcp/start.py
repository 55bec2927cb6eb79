"""A start of a server that is going on, and those who wait for it."""

from __future__ import annotations

import threading
from contextlib import nullcontext

from app.cancel import Cancel
from app.tools.mcp.peer import Peer
from app.tools.mcp.protocol import ServerUnavailable


class Start:
    """A start that is going on, and those who wait for it."""

    def __init__(self) -> None:
        self.peer: Peer | None = None
        self._is_done = False
        self._error: ServerUnavailable | None = None
        self._waiting: set[threading.Event] = set()

    def wait(self, seconds: float, cancel: Cancel | None) -> Peer:
        """The peer. Raises ServerUnavailable, and the error of `cancel`."""
        woken = threading.Event()
        self._waiting.add(woken)
        try:
            with nullcontext() if cancel is None else cancel.waking(woken.set):
                if not self._is_done:
                    woken.wait(seconds)
        finally:
            self._waiting.discard(woken)
        if self._error is not None:
            raise self._error
        if self.peer is None or not self._is_done:
            raise ServerUnavailable(f"it was not ready within {seconds:g} s")
        return self.peer

    def succeeded(self, peer: Peer) -> None:
        self.peer = peer
        self._end()

    def failed(self, error: ServerUnavailable) -> None:
        self._error = error
        self._end()

    def abandon(self) -> None:
        if self.peer is not None:
            self.peer.close()

    def _end(self) -> None:
        self._is_done = True
        for woken in list(self._waiting):
            woken.set()
