"""All open connections: which ones get an event, the regular tick and ping, and closing them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from app.auth.grants import is_granted
from app.auth.scopes import APPROVALS, QUESTIONS, READ
from app.clock import now_ms
from app.concurrency.background import spawn
from app.sessions.keys import space_name, space_of
from app.ws.call import Peer
from app.ws.frames import EventFrame
from app.ws.handshake import TICK_SECONDS

PING_SECONDS = 25.0
BROADCAST_LIMIT = 64  # up to so many connections, each gets the events of all runs (docs/websocket.md#limits)
RESTART = (1012, "service restart")  # close code and reason
ROTATED = (1008, "credentials rotated")


class Listener(Peer, Protocol):
    """An open connection as the registry sees it."""

    role: str
    watched: set[str]

    def notify(self, frame: EventFrame, *, droppable: bool = False) -> bool: ...
    def ping(self) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class Connections:
    """The registry of authenticated connections."""

    def __init__(self) -> None:
        self._open: dict[str, Listener] = {}
        # Those that may read, each with the space whose sessions it may read; None for all of them.
        self._readers: dict[str, tuple[Listener, str | None]] = {}
        self._stopped = threading.Event()
        self._ticking = False
        # Called with the session that somebody watches from now on; None: connections have come or gone.
        self.on_interest: Callable[[str | None], object] = lambda _key: None

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> list[Listener]:
        """The authenticated connections."""
        return list(self._open.values())

    def peers(self) -> list[Peer]:
        """Those of operators, as methods see them."""
        return [one for one in self._open.values() if one.role == "operator"]

    def add(self, connection: Listener) -> None:
        """Add an authenticated connection; the first one starts the tick."""
        self._open[connection.id] = connection
        principal = connection.principal
        if is_granted(principal, READ):
            space = None if principal.owner is None else space_name(principal.owner)
            self._readers[connection.id] = (connection, space)
        if not self._ticking:
            self._ticking = True
            spawn(self._tick)
        self.on_interest(None)

    def remove(self, connection: Listener) -> None:
        """Remove a connection that has ended."""
        self._open.pop(connection.id, None)
        self._readers.pop(connection.id, None)
        self.on_interest(None)

    @property
    def everybody_gets_all(self) -> bool:
        """Whether there are so few that each gets the events of all runs that it may read."""
        return len(self._open) <= BROADCAST_LIMIT

    def audience(self, session_key: str, starter: str | None = None) -> Sequence[Listener]:
        """The connections that get a run's events: see docs/websocket.md#which-events-a-connection-gets.

        `starter` is the id of the connection that started the run.
        """
        everybody, space = self.everybody_gets_all, space_of(session_key)
        return [
            one
            for one, own_space in self._readers.values()
            if own_space in (None, space)
            and (one.id == starter or session_key in one.watched or (everybody and one.role == "operator"))
        ]

    def approvers(self, session_key: str) -> Sequence[Listener]:
        """The connections of those who may approve what the session's runs do."""
        return self._with_scope(APPROVALS, session_key)

    def answerers(self, session_key: str) -> Sequence[Listener]:
        """The connections of those who may answer what the session's agent asks."""
        return self._with_scope(QUESTIONS, session_key)

    def _with_scope(self, scope: str, session_key: str) -> Sequence[Listener]:
        space = space_of(session_key)
        return [
            one
            for one in self._open.values()
            if one.role == "operator"
            and is_granted(one.principal, scope)
            and (one.principal.owner is None or space_name(one.principal.owner) == space)
        ]

    def followers(self, session_key: str) -> Sequence[Listener]:
        """The connections that are told of changes of a session: those that asked and may read it."""
        space = space_of(session_key)
        return [
            one
            for one, own_space in self._readers.values()
            if one.follows_sessions and own_space in (None, space)
        ]

    def announce_stop(self) -> None:
        """Send `shutdown` to every connection. Runs go on to their end."""
        frame = EventFrame("shutdown", {"reason": "gateway stopping", "restartExpectedMs": None})
        for connection in self.all():
            connection.notify(frame)

    def close_all(self, code: int, reason: str) -> None:
        """Close every connection, with that close code and reason."""
        for connection in self.all():
            connection.close(code, reason)

    def stop(self) -> None:
        """End the tick and the ping."""
        self._stopped.set()

    def _tick(self) -> None:
        """One greenlet for all: a tick each TICK_SECONDS, a ping each PING_SECONDS."""
        next_tick, next_ping = time.monotonic() + TICK_SECONDS, time.monotonic() + PING_SECONDS
        while not self._stopped.wait(min(next_tick, next_ping) - time.monotonic()):
            now = time.monotonic()
            if now >= next_tick:
                next_tick += TICK_SECONDS
                frame = EventFrame("tick", {"ts": now_ms()})
                for connection in self.all():
                    connection.notify(frame, droppable=True)
            if now >= next_ping:
                next_ping += PING_SECONDS
                for connection in self.all():
                    connection.ping()
