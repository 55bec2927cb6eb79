"""The sessions' queues of several workers: what a session's queue is, its runs in the database say.

A run is stored in the order in which it was accepted, whichever worker has accepted it, and begins when no
earlier run of its session is left that has not ended. Mostly there is none, and the transaction that stores
the run says so. Only a run that has to wait looks again: when a worker says that a run of the session has
ended, and every second besides, as its owner may have died, or the message been lost.

    this worker   accept R2 (R1 of another worker goes on)    lanes {"key": …, "waits": true}   ->
    other worker  R1 ends; somebody waits elsewhere           lanes {"key": …}                  <-
    this worker   looks; nothing is before R2: it begins
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Literal, Protocol

from app.cancel import Cancel
from app.cluster.base import Message, PubSub
from app.errors import ClusterUnavailable, LeaseLost, RunAborted, StorageUnavailable
from app.sessions.stored import AcceptedRun, RunPlace

FIRST_LOOK_SECONDS = 0.05  # after the first look; then twice as long each time
LOOK_SECONDS = 1.0
LOST = (
    "Another worker of the gateway has taken the run, as this one was out of touch for too long. "
    "Ask for the run by its id, or send the request again."
)
GONE = "The session was reset or deleted."


class Places(Protocol):
    """The part of `RunStore` that says where a run stands."""

    def place(self, run_id: str, fence: int = 1) -> RunPlace | None:
        """Where the run stands now; None if it is not there any more."""


class SharedLanes:
    """Implements `SessionLanes`. `pubsub` wakes those who wait elsewhere."""

    def __init__(
        self, places: Places, pubsub: PubSub, cap: int = 20, mode: Literal["wait", "reject"] = "wait"
    ) -> None:
        self.limit(cap, mode)
        self.places = places
        self._pubsub = pubsub
        self._lock = threading.Lock()
        self._lanes: dict[str, list[SharedPlace]] = {}  # of this worker's runs alone
        self._others_wait: set[str] = set()  # keys of lanes in which a run of another worker waits
        pubsub.subscribe("lanes", self._told)

    def limit(self, cap: int, mode: Literal["wait", "reject"] = "wait") -> None:
        """Set other limits for runs from now on; those that wait already stay."""
        self.max_waiting = cap if mode == "wait" else 0

    def join(self, key: str) -> SharedPlace:
        """A place for a run that is about to be stored."""
        place = SharedPlace(self, key, self.max_waiting)
        with self._lock:
            self._lanes.setdefault(key, []).append(place)
        return place

    @property
    def active(self) -> int:
        """How many sessions have a run of this worker."""
        return len(self._lanes)

    def look(self, key: str) -> None:
        """Let this worker's runs that wait in the lane look whether it is their turn."""
        for place in self._lanes.get(key, ()):
            place.changed.set()

    def tell(self, key: str, *, waits: bool) -> None:
        """Tell the other workers that a run has left the lane, or that one of ours `waits` in it."""
        if not self._pubsub.is_shared:
            return
        with suppress(ClusterUnavailable):  # they look by themselves, too
            self._pubsub.publish("lanes", {"key": key, "waits": True} if waits else {"key": key})

    def leave(self, place: SharedPlace) -> None:
        """The place's run has ended."""
        key = place.key
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None or place not in lane:
                return
            lane.remove(place)
            others_wait = key in self._others_wait
            if not lane:
                del self._lanes[key]
                self._others_wait.discard(key)
        self.look(key)
        if others_wait:
            self.tell(key, waits=False)

    def _told(self, message: Message) -> None:
        key = message["key"]
        if not message.get("waits"):
            self.look(key)
            return
        with self._lock:
            if key in self._lanes:
                self._others_wait.add(key)


class SharedPlace:
    """Implements `Place`."""

    def __init__(self, lanes: SharedLanes, key: str, max_waiting: int) -> None:
        self.key = key
        self.max_waiting = max_waiting
        self.changed = threading.Event()
        self._lanes = lanes
        self._run_id = ""
        self._accepted = AcceptedRun(0)

    def stored(self, run_id: str, accepted: AcceptedRun) -> None:
        """The run has been stored, or was taken over."""
        self._run_id, self._accepted = run_id, accepted

    def wait(self, cancel: Cancel) -> None:
        """Block until no earlier run of the session is left.

        Raises the error of `cancel`, LeaseLost (another worker has the run) and RunAborted (it was ended in
        the database, by who reset or deleted the session).
        """
        if not self._accepted.before and not cancel.cancelled:
            return  # nearly always: nobody was before it
        pause = FIRST_LOOK_SECONDS
        try:
            with cancel.waking(self.changed.set):
                if not self._may_begin():
                    self._lanes.tell(self.key, waits=True)
                while not self._may_begin() and not cancel.cancelled:
                    self.changed.wait(pause)
                    self.changed.clear()
                    pause = min(2 * pause, LOOK_SECONDS)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """The run has ended: the next one may look."""
        self._lanes.leave(self)

    def _may_begin(self) -> bool:
        """Whether it is the run's turn; not while the database cannot say. Raises what `check_own` raises."""
        try:
            found = self._lanes.places.place(self._run_id, self._accepted.fence)
        except StorageUnavailable:
            return False
        check_own(found)
        return found is not None and not found.before


def check_own(found: RunPlace | None) -> None:
    """Raise the reason why nothing more can be stored of a run: LeaseLost or RunAborted; if there is one."""
    if found is None or found.state == "aborted":
        raise RunAborted(GONE)
    if not found.is_own:
        raise LeaseLost(LOST, retry_after=1)
