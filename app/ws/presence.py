"""Who is connected to the gateway, on whichever worker (docs/websocket.md#presence)."""

from __future__ import annotations

import logging
import platform
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app import VERSION
from app.clock import now_ms
from app.cluster.ask import ASK_SECONDS, Workers
from app.errors import ClusterUnavailable
from app.logs.lines import log_event
from app.ws.call import Peer

logger = logging.getLogger("app.ws")

MAX_ROWS = 1000  # of one worker
QUICK_SECONDS = 0.25  # for which a connection that is being made waits for the other workers
FRESH_SECONDS = 5.0  # for which such a connection takes what the one before was told


class Presence:
    """`peers` gives the connections of this worker."""

    def __init__(self, peers: Callable[[], list[Peer]], workers: Workers) -> None:
        self._peers = peers
        self._workers = workers
        self._last: Sequence[Mapping[str, Any]] = ()
        self._asked_at = float("-inf")
        workers.answer("presence", self._reply)

    def own(self, owner: str | None) -> list[dict[str, Any]]:
        """An entry for each operator connected to this worker; for a user `owner`, of its own connections."""
        return [
            describe_peer(peer) for peer in self._peers() if owner is None or peer.principal.owner == owner
        ]

    def elsewhere(self, owner: str | None) -> list[dict[str, Any]]:
        """The same of the other workers, after an entry for each other host."""
        replies = self._ask(ASK_SECONDS)
        others = {str(reply["host"]): reply["gateway"] for reply in replies}
        others.pop(socket.gethostname(), None)
        return [*others.values(), *_known_to(owner, replies)]

    def all_soon(self, owner: str | None) -> list[dict[str, Any]]:
        """Of all workers; what is known of the others may be some seconds old."""
        fresh = time.monotonic() - self._asked_at < FRESH_SECONDS
        return [*self.own(owner), *_known_to(owner, self._last if fresh else self._ask(QUICK_SECONDS))]

    def _ask(self, seconds: float) -> Sequence[Mapping[str, Any]]:
        try:
            self._last = self._workers.ask("presence", {}, seconds)
        except ClusterUnavailable as error:
            self._last = ()
            log_event(logger, logging.INFO, "who is connected elsewhere is not known", why=error.message)
        self._asked_at = time.monotonic()
        return self._last

    def _reply(self, _question: Mapping[str, Any]) -> Mapping[str, Any]:
        rows = [[peer.principal.owner, describe_peer(peer)] for peer in self._peers()[:MAX_ROWS]]
        return {"host": socket.gethostname(), "gateway": describe_gateway("peer"), "rows": rows}


def _known_to(owner: str | None, replies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [entry for reply in replies for whose, entry in reply["rows"] if owner in (None, whose)]


def describe_gateway(reason: str) -> dict[str, Any]:
    """The presence entry of this host. `reason`: `self` to its own clients, `peer` to others."""
    host = socket.gethostname()
    return {
        "host": host,
        "version": VERSION,
        "platform": platform.system().lower(),
        "mode": "gateway",
        "reason": reason,
        "text": f"Gateway: {host} · app {VERSION} · mode gateway · reason {reason}",
        "ts": now_ms(),
    }


def describe_peer(peer: Peer) -> dict[str, Any]:
    """A presence entry: who is connected, and since when (docs/websocket.md#presence)."""
    client = peer.client
    entry = {
        "host": client.display_name or client.id,
        "version": client.version,
        "platform": client.platform,
        "mode": client.mode,
        "reason": "connect",
        "text": f"{client.display_name or client.id} · {client.mode} {client.version}",
        "ts": int(peer.connected_at * 1000),
        "scopes": sorted(peer.principal.scopes),
    }
    if client.instance_id:
        entry["instanceId"] = client.instance_id
    return entry
