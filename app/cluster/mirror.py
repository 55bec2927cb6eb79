"""The log of a run that lives on another worker, for those who follow it here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from app.cluster.entries import Entry, lost
from app.events.log import EventLog
from app.events.types import Event, RunFailed, RunFinished, RunStarted

FIRST_ID = "0-0"  # below that of any entry


class Mirror(EventLog):
    """Filled from what comes of the run (`take`), but only as long as somebody follows it.

    `attach` is called with it when its first follower comes, `detach` when the last one has left.
    """

    is_elsewhere = True

    def __init__(
        self, run_id: str, attach: Callable[[Mirror], object], detach: Callable[[Mirror], object]
    ) -> None:
        super().__init__()
        self.run_id = run_id
        self._attach = attach
        self._detach = detach
        self._followers = 0
        self._fence = 0
        self.last_id = FIRST_ID  # of the stream's entries, the last one whose events are here
        self.heard_at = time.monotonic()
        self.is_lost = False  # its end is not the run's
        self.doubts = 0  # how often in a row nobody has known the run

    @property
    def is_followed(self) -> bool:
        return self._followers > 0

    def take(self, entry: Entry, is_first: bool = False) -> bool:
        """Add the events of the entry that are not here yet. False if there are others before them.

        `is_first`: it is the first one of the stream, so those before it are not kept any more.
        """
        self.heard_at = time.monotonic()
        if self.end is not None or entry.fence < self._fence:
            return True
        if entry.position > self.length:
            if self.length or not is_first:
                return False
            self.first = entry.position
        if entry.fence > self._fence > 0 and entry.base < self.length and not self._is_in(entry):
            self.fail("Another worker goes on with this run, from an earlier point.")
            return True
        for event in entry.events[self.length - entry.position :]:
            if self.end is None:
                self.append(event)
        self._fence, self.last_id, self.doubts = entry.fence, entry.id, 0
        return True

    def _is_in(self, entry: Entry) -> bool:
        """Whether the entry has all that is here, said again by a worker that has begun the run again."""
        said = entry.events[: self.length] if not entry.position and not self.first else []
        return len(said) == self.length and all(
            one == other or type(one) is type(other) is RunStarted
            for one, other in zip(self, said, strict=True)
        )

    def fail(self, why: str) -> None:
        """End the log: no more will come."""
        if self.end is None:
            self.is_lost = True
            self.append(lost(why))

    def wait(self, seconds: float | None = None) -> RunFinished | RunFailed | None:
        """See `EventLog.wait`."""
        with self._following():
            return super().wait(seconds)

    def follow(self, position: int = 0, wake_every: float | None = None) -> Iterator[Sequence[Event]]:
        """See `EventLog.follow`."""
        with self._following():
            yield from super().follow(position, wake_every)

    @contextmanager
    def _following(self) -> Iterator[None]:
        self._followers += 1
        if self._followers == 1 and self.end is None:
            self._attach(self)
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._detach(self)
