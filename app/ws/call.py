"""A request as a method gets it: the parameters, the gateway, and the connection it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.auth.principal import Principal
from app.errors import GatewayError
from app.gateway import Gateway
from app.ws.params import Params


@dataclass(frozen=True, slots=True)
class Client:
    """What a client says about itself in `connect`. Nothing of it is verified."""

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
    follows_sessions: bool  # whether it is told which sessions change

    def watch_session(self, key: str, written: str | None = None) -> None:
        """Send this connection the events of that session's runs from now on.

        `written` is how the client wrote the key: clients of protocol 3 recognize a session by that text
        alone.
        """

    def send_event(self, event: str, payload: Mapping[str, Any], *, droppable: bool = False) -> None:
        """Send an event to this connection. A slow client may miss a `droppable` one."""


@dataclass(frozen=True, slots=True)
class Call:
    """`peers` gives the connections that the caller may know of, `audience` those that get the events of a
    session, which is named by its canonical key. `elsewhere` tells who is present on other workers.

    `reply` sends a first response at once, for methods that have two. `later` makes the response of a method
    that returns `LATER`, and raises Overloaded if the connection waits for too many already.
    """

    params: Params
    gateway: Gateway
    peer: Peer
    peers: Callable[[], Sequence[Peer]]
    audience: Callable[[str], Sequence[Peer]]
    reply: Callable[[Any], None]
    later: Callable[[], Answer]
    elsewhere: Callable[[], Sequence[Mapping[str, Any]]] = lambda: ()

    @property
    def owner(self) -> str | None:
        """Whose sessions the caller has; None for an operator, who has all (`Principal.owner`)."""
        return self.peer.principal.owner


class Answer(Protocol):
    """A response that is sent after its method has returned `LATER`."""

    def succeed(self, payload: Any) -> None:
        """Send the successful response."""

    def fail(self, error: GatewayError, payload: Any = None) -> None:
        """Send the failed response; `payload` goes along if there is one."""

    def at_end(self, clean_up: Callable[[], object]) -> None:
        """Call `clean_up` once the response is sent, or the connection has ended."""

    def end(self) -> None:
        """Send no response: the method raises instead."""


LATER = object()


# A method: takes the call, returns its response's payload or `LATER`, raises what refuses it.
Handler = Callable[[Call], Any]
