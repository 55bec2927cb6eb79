"""First-come-first-served queues: one run at a time per session, and a number of runs at a time per agent."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Literal, Protocol

from app.cancel import Cancel
from app.errors import SessionBusy
from app.sessions.stored import AcceptedRun

RETRY_SECONDS = 1.0


def queue_is_full(waiting: int, max_waiting: int) -> SessionBusy:
    """For a run that finds so many before it that it cannot even wait."""
    if not max_waiting:
        message = "This session is busy with another request. Try again when that one has been answered."
    else:
        message = f"This session is busy: {waiting} requests are already waiting. Try again later."
    return SessionBusy(message, retry_after=RETRY_SECONDS)


class Place(Protocol):
    """A run's place in its session's queue. Its holder must call `leave`."""

    @property
    def max_waiting(self) -> int | None:
        """How many runs may wait if the store is to see to that, as it stores the run; else None."""

    def stored(self, run_id: str, accepted: AcceptedRun) -> None:
        """The run has been stored, or was taken over."""

    def wait(self, cancel: Cancel) -> None:
        """Block until it is the run's turn. For a cancelled run: leave the queue, and raise the reason."""

    def leave(self) -> None:
        """The run has ended. May be called at any time, and more than once."""


class SessionLanes(Protocol):
    """The queues of all sessions."""

    def limit(self, cap: int, mode: Literal["wait", "reject"] = "wait") -> None:
        """At most `cap` runs of a session wait from now on; in mode `reject`, none."""

    def join(self, key: str) -> Place:
        """A place for a run that is about to be stored. Raises SessionBusy."""

    @property
    def active(self) -> int:
        """How many sessions have a run here."""


class Lanes:
    """All queues, by key, of a single process. Implements `SessionLanes`. A lane exists only while it has
    tickets.

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
                raise queue_is_full(len(lane) - width, self._max_waiting)
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


class Ticket:
    """A place in a lane. Implements `Place`. Its holder must call `leave`, best by using it in a `with`
    block.
    """

    max_waiting = None  # the lane has seen to it already

    def __init__(self, lanes: Lanes, key: str, width: int) -> None:
        self.key = key
        self.width = width
        self.activated = threading.Event()  # set when it is active, or when a cancelled run must stop waiting
        self._lanes = lanes

    def stored(self, _run_id: str, _accepted: AcceptedRun) -> None:
        """The order is that of `join`."""

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
