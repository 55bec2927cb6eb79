"""Queues, first come first served: one run at a time per session, so many at a time per agent."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Literal

from app.cancel import Cancel
from app.errors import SessionBusy

RETRY_AFTER = 1.0  # seconds


class Lanes:
    """All queues, by key. A lane exists only while somebody is in it.

    At most `cap` tickets wait behind those whose turn it is; in mode `reject` none does.
    """

    def __init__(self, cap: int = 20, mode: Literal["wait", "reject"] = "wait") -> None:
        self.limit(cap, mode)
        self._lock = threading.Lock()
        self._lanes: dict[str, deque[Ticket]] = {}

    def limit(self, cap: int, mode: Literal["wait", "reject"] = "wait") -> None:
        """Other limits from now on; whoever waits already stays."""
        self._room = cap if mode == "wait" else 0

    def join(self, key: str, width: int = 1) -> Ticket:
        """Take the next place in the lane, at once; the first `width` of them have their turn.

        Raises `SessionBusy` when there is no place.
        """
        ticket = Ticket(self, key, width)
        with self._lock:
            lane = self._lanes.setdefault(key, deque())
            if len(lane) >= width + self._room:
                raise SessionBusy(self._refusal(len(lane) - width), retry_after=RETRY_AFTER)
            lane.append(ticket)
            if len(lane) <= width:
                ticket.bell.set()
            return ticket

    def waiting(self, key: str) -> int:
        """How many wait for their turn in this lane."""
        with self._lock:
            return max(0, len(self._lanes.get(key, ())) - 1)

    @property
    def active(self) -> int:
        """How many sessions have somebody whose turn it is."""
        return len(self._lanes)

    def _leave(self, ticket: Ticket) -> None:
        with self._lock:
            lane = self._lanes.get(ticket.key)
            if lane is None or ticket not in lane:
                return
            lane.remove(ticket)
            for place, other in enumerate(lane):  # each has its own width: the setting may have changed
                if place >= other.width:
                    break
                other.bell.set()
            if not lane:
                del self._lanes[ticket.key]

    def _refusal(self, waiting: int) -> str:
        if not self._room:
            return "This session is busy with another request. Try again when that one has been answered."
        return f"This session is busy: {waiting} requests are already waiting. Try again later."


class Ticket:
    """A place in a lane. Whoever holds one must `leave()`, best by using it in a `with` block."""

    def __init__(self, lanes: Lanes, key: str, width: int) -> None:
        self.key = key
        self.width = width
        self.bell = threading.Event()  # rings when it is this ticket's turn, or to stop waiting
        self._lanes = lanes

    def wait(self, cancel: Cancel) -> None:
        """Return when it is this ticket's turn. A cancelled run gives its place up and raises why."""
        if self.bell.is_set() and not cancel.cancelled:
            return  # mostly: nobody was there before
        try:
            with cancel.waking(self.bell.set):
                self.bell.wait()
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Let the next one go. May be called at any time, and again."""
        self._lanes._leave(self)

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
