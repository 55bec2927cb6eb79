"""First-come-first-served queues: one run at a time per session, and a number of runs at a time per agent."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Literal

from app.cancel import Cancel
from app.errors import SessionBusy

RETRY_SECONDS = 1.0


class Lanes:
    """All queues, by key. A lane exists only while it has tickets.

    The first `width` tickets of a lane are active. At most `cap` more wait behind them; none in mode
    `reject`.
    """

    def __init__(self, cap: int = 20, mode: Literal["wait", "reject"] = "wait") -> None:
        self.limit(cap, mode)
        self._lock = threading.Lock()
        self._lanes: dict[str, deque[Ticket]] = {}

    def limit(self, cap: int, mode: Literal["wait", "reject"] = "wait") -> None:
        """Set other limits for tickets from now on; those that wait already stay."""
        self._max_waiting = cap if mode == "wait" else 0

    def join(self, key: str, width: int = 1) -> Ticket:
        """A ticket for the end of the lane, taken at once, without waiting; it may be active already.

        Raises SessionBusy: the lane is full.
        """
        ticket = Ticket(self, key, width)
        with self._lock:
            lane = self._lanes.setdefault(key, deque())
            if len(lane) >= width + self._max_waiting:
                raise SessionBusy(self._refusal(len(lane) - width), retry_after=RETRY_SECONDS)
            lane.append(ticket)
            if len(lane) <= width:
                ticket.activated.set()
            return ticket

    def waiting(self, key: str) -> int:
        """How many tickets wait in this lane, if one at a time is active."""
        with self._lock:
            return max(0, len(self._lanes.get(key, ())) - 1)

    @property
    def active(self) -> int:
        """How many lanes have a ticket."""
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
                other.activated.set()
            if not lane:
                del self._lanes[ticket.key]

    def _refusal(self, waiting: int) -> str:
        if not self._max_waiting:
            return "This session is busy with another request. Try again when that one has been answered."
        return f"This session is busy: {waiting} requests are already waiting. Try again later."


class Ticket:
    """A place in a lane. Its holder must call `leave`, best by using it in a `with` block."""

    def __init__(self, lanes: Lanes, key: str, width: int) -> None:
        self.key = key
        self.width = width
        self.activated = threading.Event()  # set when it is active, or when a cancelled run must stop waiting
        self._lanes = lanes

    def wait(self, cancel: Cancel) -> None:
        """Block until this ticket is active. For a cancelled run: leave the lane, and raise the reason."""
        if self.activated.is_set() and not cancel.cancelled:
            return  # nearly always: the lane was empty
        try:
            with cancel.waking(self.activated.set):
                self.activated.wait()
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Activate the next ticket. May be called at any time, and more than once."""
        self._lanes._leave(self)

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
