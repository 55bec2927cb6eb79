"""Tells the connections that asked for it which sessions have begun or ended to work, and which ones
somebody has changed, over whatever transport (docs/websocket.md#events).
"""

from __future__ import annotations

from contextlib import suppress

from app.clock import now_ms
from app.cluster.base import Message
from app.concurrency.background import call_later
from app.control.sessions import Change
from app.errors import ClusterUnavailable
from app.events.log import EventLog
from app.events.types import RunStarted
from app.gateway import Gateway
from app.routing.operator import agent_of_key
from app.ws.connections import Connections
from app.ws.feed import Feed
from app.ws.frames import EventFrame
from app.ws.methods.session_rows import dump_session

# What changes in a session within that time is one event. Clients read the history when a run has ended, and
# those of OpenClaw keep what they have shown so far if they are told of the session before that.
BEGIN_SECONDS, END_SECONDS = 0.1, 1.0
CHANGE_SECONDS = 0.1


class SessionFeed:
    """`sessions.changed`, for those who have called `sessions.subscribe`."""

    def __init__(self, connections: Connections, gateway: Gateway, feed: Feed) -> None:
        self._connections = connections
        self._gateway = gateway
        self._feed = feed
        # Sessions that are to be told of, how soon, and why.
        self._changed: set[tuple[str, float, str]] = set()
        gateway.runs.bus.subscribe(self._run_published)
        gateway.sessions.listeners.append(self._session_changed)
        gateway.workers.pubsub.subscribe("sessions", self._changed_elsewhere)

    def _run_published(self, run_id: str, log: EventLog) -> None:
        key = self._session_of(run_id, log) if len(self._connections) else None
        if key is None or not self._connections.followers(key):
            return
        self._tell_in(BEGIN_SECONDS, key)
        self._feed.when_over(run_id, log, lambda: self._tell_in(END_SECONDS, key))

    def _session_of(self, run_id: str, log: EventLog) -> str | None:
        """The key of the run's session; None if it has none."""
        if log.is_elsewhere:  # whether it is stored is seen when it is told of
            started = next(iter(log))
            return started.session_key if isinstance(started, RunStarted) else None
        run = self._gateway.runs.get(run_id)
        return None if run is None or run.request.route.stateless else run.session_key

    def _session_changed(self, key: str, change: Change) -> None:
        self._tell_of(key, change)
        with suppress(ClusterUnavailable):  # a client that misses it sees the change when it looks
            self._gateway.workers.pubsub.publish("sessions", {"key": key, "change": change})

    def _changed_elsewhere(self, message: Message) -> None:
        self._tell_of(str(message.get("key")), str(message.get("change")))

    def _tell_of(self, key: str, change: str) -> None:
        if self._connections.followers(key):
            self._tell_in(CHANGE_SECONDS, key, change)

    def _tell_in(self, seconds: float, key: str, reason: str = "run") -> None:
        change = (key, seconds, reason)
        if change not in self._changed:
            self._changed.add(change)
            call_later(seconds, lambda: self._tell(change))

    def _tell(self, change: tuple[str, float, str]) -> None:
        self._changed.discard(change)
        key, _, reason = change
        followers = self._connections.followers(key)
        session = self._gateway.store.index.describe(key) if followers else None
        if session is None and reason != "delete":
            return
        agent_id = agent_of_key(key, self._gateway.settings)
        about = {"sessionKey": key, "agentId": agent_id, "reason": reason, "ts": now_ms()}
        row = None if session is None else dump_session(session, self._gateway)
        frame = EventFrame("sessions.changed", {**about, "session": row})
        for connection in followers:
            connection.notify(frame)
