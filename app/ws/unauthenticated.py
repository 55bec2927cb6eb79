"""Connections whose `connect` has not been accepted yet: only so many are kept (docs/websocket.md#limits)."""

from __future__ import annotations

from collections.abc import Callable

from app.auth.network import address_group

MAX_UNAUTHENTICATED = 128  # connections
MAX_UNAUTHENTICATED_EACH = 32  # of them from one address
MAX_UNAUTHENTICATED_PAYLOAD = 64 * 1024  # bytes of a message that is sent before
MAX_UNAUTHENTICATED_BYTES = 80 * 1024  # of all that is sent before: one message, pings, and their headers


class Unauthenticated:
    """Such a connection, from its upgrade on. `on_drop` is called when it has to make room for another."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.is_dropped = False
        self.on_drop: Callable[[], object] = lambda: None

    def drop(self) -> None:
        """Close the connection."""
        self.is_dropped = True
        self.on_drop()


class UnauthenticatedConnections:
    """All of them, the oldest first.

    When there are too many, the oldest is dropped, rather than the newest refused: a client that means to
    authenticate does so at once, and those that only occupy places are the ones that have been there longest.
    """

    def __init__(self) -> None:
        self._all: dict[Unauthenticated, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, address: str) -> Unauthenticated:
        """Count a new connection of the client at `address`; in IPv6 its whole /64 counts as one client."""
        new = Unauthenticated(address_group(address))
        same = [one for one in self._all if one.group == new.group]
        if len(same) >= MAX_UNAUTHENTICATED_EACH:
            self._drop(same[0])
        elif len(self._all) >= MAX_UNAUTHENTICATED:
            self._drop(next(iter(self._all)))
        self._all[new] = None
        return new

    def forget(self, one: Unauthenticated) -> None:
        """It is authenticated now, or has ended. May be called again."""
        self._all.pop(one, None)

    def _drop(self, one: Unauthenticated) -> None:
        self.forget(one)
        one.drop()
