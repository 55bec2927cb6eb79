"""What workers tell each other. With one worker there is nobody to tell (`NoOthers`).

A message is a small map that survives JSON. It reaches the workers that are there at that moment, once at
most: what must not be lost is in the database, and a message only says that it is time to look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

Topic = Literal[
    "runs",
    "abort",
    "steer",
    "lanes",
    "approvals",
    "questions",
    "agents",  # one of their slots is free
    "sessions",
    "config",
    "credentials",  # wrong ones are counted by all
    "presence",
    "ask",  # `app.cluster.ask`
    "reply",
]
Message = Mapping[str, Any]
Handler = Callable[[Message], object]


class PubSub(Protocol):
    """Messages between the workers."""

    def publish(self, topic: Topic, message: Message) -> int:
        """Tell the *other* workers. Returns how many get it.

        Raises ClusterUnavailable: they cannot be reached now.
        """

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        """Call `handler` with each message of another worker from now on. It must not wait."""

    @property
    def is_shared(self) -> bool:
        """Whether there may be other workers at all."""

    @property
    def is_away(self) -> bool:
        """Whether they cannot be reached now."""


class Slots(Protocol):
    """So many of something at a time, over all workers. All methods raise ClusterUnavailable."""

    def take(self, name: str, limit: int, holder: str) -> bool:
        """Take one of `limit` slots, until it is given back or this worker dies. False: all are held."""

    def give_back(self, name: str, holder: str) -> None:
        """Hold it no longer."""


class Closable(Protocol):
    def close(self) -> object: ...


class Stop(Protocol):
    """`threading.Event` is one."""

    def wait(self, timeout: float | None = None) -> bool: ...


class NoOthers:
    """Implements `PubSub` for a gateway of a single worker."""

    is_shared = False
    is_away = False

    def publish(self, _topic: Topic, _message: Message) -> int:
        return 0

    def subscribe(self, _topic: Topic, _handler: Handler) -> None: ...
