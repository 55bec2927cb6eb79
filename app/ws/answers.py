"""Responses that are sent later than their methods return, such as those that wait for a run's end.

They end with their connection: no timer and no callback of theirs is left then, so nothing refers to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from app.errors import GatewayError, Overloaded

MAX_WAITING = 1000  # responses that one connection may wait for
RETRY_SECONDS = 1.0


class Responder(Protocol):
    """What sends a response: a connection."""

    def respond(self, frame_id: str, payload: Any) -> None: ...
    def respond_error(self, frame_id: str, error: GatewayError, payload: Any = None) -> None: ...


class LaterAnswer:
    """The response to a request whose method has returned `LATER`. Only the first call sends one."""

    def __init__(self, frame_id: str, peer: Responder, waiting: set[LaterAnswer]) -> None:
        self._frame_id = frame_id
        self._peer: Responder | None = peer
        self._waiting = waiting
        self._at_end: list[Callable[[], object]] = []
        waiting.add(self)

    def succeed(self, payload: Any) -> None:
        """Send the successful response."""
        if (peer := self._peer) is not None:
            self.end()
            peer.respond(self._frame_id, payload)

    def fail(self, error: GatewayError, payload: Any = None) -> None:
        """Send the failed response; `payload` goes along if there is one."""
        if (peer := self._peer) is not None:
            self.end()
            peer.respond_error(self._frame_id, error, payload)

    def at_end(self, clean_up: Callable[[], object]) -> None:
        """Call `clean_up` once the response is sent, or never will be; now if that is so already."""
        if self._peer is None:
            clean_up()
        else:
            self._at_end.append(clean_up)

    def end(self) -> None:
        """Send nothing any more."""
        self._peer = None
        self._waiting.discard(self)
        while self._at_end:
            self._at_end.pop()()


class Answers:
    """The responses that one connection waits for."""

    def __init__(self) -> None:
        self._waiting: set[LaterAnswer] = set()

    def add(self, frame_id: str, peer: Responder) -> LaterAnswer:
        """A response to be sent later. Raises Overloaded: the connection waits for too many already."""
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded(
                f"The connection waits for {MAX_WAITING} responses already.", retry_after=RETRY_SECONDS
            )
        return LaterAnswer(frame_id, peer, self._waiting)

    def end(self) -> None:
        """The connection has ended: none of them is sent any more."""
        for answer in list(self._waiting):
            answer.end()
