"""All open connections: who is told of what, the tick, and the end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from app.concurrency.background import spawn
from app.errors import Overloaded
from app.ws.call import Peer
from app.ws.frames import EventFrame
from app.ws.handshake import TICK_SECONDS

PING_SECONDS = 25.0
STRANGERS = 128  # connections in all that have not been let in yet
STRANGERS_EACH = 32  # of them from one address
BROADCAST_LIMIT = 64  # up to so many connections, each is told of every run; beyond, only of what it watches
RESTART = (1012, "service restart")
ROTATED = (1008, "credentials rotated")


class Listener(Peer, Protocol):
    """An open connection, as far as the registry must know it."""

    role: str
    watched: set[str]

    def tell(self, frame: EventFrame, *, droppable: bool = False) -> None: ...
    def has_cap(self, cap: str) -> bool: ...
    def ping(self) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class Connections:
    """The registry. A connection is a stranger from its upgrade until its `connect` is accepted."""

    def __init__(self) -> None:
        self._open: dict[str, Listener] = {}
        self._strangers: Counter[str] = Counter()
        self._stopped = threading.Event()
        self._ticking = False

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> list[Listener]:
        return list(self._open.values())

    def peers(self) -> list[Peer]:
        """The same, as methods see them."""
        return [one for one in self._open.values() if one.role == "operator"]

    def admit_stranger(self, address: str) -> None:
        """Make room for a connection that is not authenticated yet. Raises Overloaded."""
        if self._strangers.total() >= STRANGERS or self._strangers[address] >= STRANGERS_EACH:
            raise Overloaded("Too many connections are waiting to be let in. Try again.", retry_after=1.0)
        self._strangers[address] += 1

    def forget_stranger(self, address: str) -> None:
        self._strangers[address] -= 1
        if self._strangers[address] <= 0:
            del self._strangers[address]

    def add(self, connection: Listener) -> None:
        self._open[connection.id] = connection
        if not self._ticking:
            self._ticking = True
            spawn(self._tick)

    def remove(self, connection: Listener) -> None:
        self._open.pop(connection.id, None)

    def audience(self, session_key: str, starter: str | None) -> Iterable[Listener]:
        """Who is told of a run: who started it, who watches its session; while few are here, everybody."""
        everybody = len(self._open) <= BROADCAST_LIMIT
        return [
            one
            for one in self._open.values()
            if one.id == starter or session_key in one.watched or (everybody and one.role == "operator")
        ]

    def announce_stop(self) -> None:
        """Tell everybody that the gateway is stopping; their runs go on to their end."""
        frame = EventFrame("shutdown", {"reason": "gateway stopping", "restartExpectedMs": None})
        for connection in self.all():
            connection.tell(frame)

    def close_all(self, code: int, reason: str) -> None:
        for connection in self.all():
            connection.close(code, reason)

    def stop(self) -> None:
        """No more ticks."""
        self._stopped.set()

    def _tick(self) -> None:
        """One greenlet for all: a tick each TICK_SECONDS, a ping each PING_SECONDS."""
        next_tick, next_ping = time.monotonic() + TICK_SECONDS, time.monotonic() + PING_SECONDS
        while not self._stopped.wait(min(next_tick, next_ping) - time.monotonic()):
            now = time.monotonic()
            if now >= next_tick:
                next_tick += TICK_SECONDS
                frame = EventFrame("tick", {"ts": int(time.time() * 1000)})
                for connection in self.all():
                    connection.tell(frame, droppable=True)
            if now >= next_ping:
                next_ping += PING_SECONDS
                for connection in self.all():
                    connection.ping()
