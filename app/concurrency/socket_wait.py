"""Waits for the socket of a C library, which reads and writes by itself, and lets others go on meanwhile."""

from __future__ import annotations

from typing import Any

import gevent
from gevent import get_hub, monkey

from app.concurrency.background import is_patched

READ, WRITE = 1, 2  # to be added up


class SocketWait:
    """Waits for one socket, one caller at a time. `close` it before the socket is closed.

    `native`: it is used in a native thread alone, where there is no event loop.
    """

    def __init__(self, fileno: int, *, native: bool = False) -> None:
        self._fileno = fileno
        self._native = native or not is_patched()
        self._watchers: dict[int, Any] = {}

    def wait(self, events: int, seconds: float) -> int:
        """Block until one of `events` (READ, WRITE) is possible; which of them. Raises TimeoutError."""
        if self._native:
            return self._poll(events, seconds)
        if seconds <= 0:
            raise TimeoutError
        hub = get_hub()
        watcher = self._watchers.get(events)
        if watcher is None:
            watcher = self._watchers[events] = hub.loop.io(self._fileno, events)
        with gevent.Timeout(seconds, TimeoutError):
            hub.wait(watcher)
        # Which of the two is ready does not matter to who asks for both: trying the other one does not block.
        return events

    def close(self) -> None:
        """Let go of the socket."""
        watchers, self._watchers = self._watchers, {}
        for watcher in watchers.values():
            watcher.close()

    def _poll(self, events: int, seconds: float) -> int:
        poll = monkey.get_original("select", "poll")()
        poll.register(self._fileno, events if events == READ else 4 | (events & READ))
        found = poll.poll(max(0.0, seconds) * 1000)
        if not found:
            raise TimeoutError
        return events
