"""One request of a client, on its way to a method: who asks, what, and through which connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from app.auth.principal import Principal
from app.errors import GatewayError
from app.gateway import Gateway
from app.ws.params import Params


@dataclass(frozen=True, slots=True)
class Client:
    """What a client says of itself in `connect`; all of it may be made up."""

    id: str
    mode: str
    version: str
    platform: str
    display_name: str | None = None
    instance_id: str | None = None
    caps: frozenset[str] = frozenset()


class Peer(Protocol):
    """The connection as methods see it."""

    id: str
    client: Client
    principal: Principal
    protocol: int
    connected_at: float
    watched: set[str]

    def watch_session(self, key: str, written: str | None = None) -> None:
        """From now on the connection is told what happens in that session.

        `written` is how it writes the key: clients of version 3 know a session by that text alone.
        """

    def send_event(self, event: str, payload: Mapping[str, Any], *, droppable: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """`reply` sends a response to the request before the one that the method returns."""

    params: Params
    gateway: Gateway
    peer: Peer
    peers: Callable[[], list[Peer]]
    reply: Callable[[Any], None]
    later: Callable[[], Answer]


class Answer(Protocol):
    """A response that is sent when its time has come, after the method has returned `LATER`."""

    def succeed(self, payload: Any) -> None: ...
    def fail(self, error: GatewayError, payload: Any = None) -> None: ...


LATER = object()


# A method: takes the call, returns its response's payload or `LATER`, raises what refuses it.
Handler = Callable[[Call], Any]
