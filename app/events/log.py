"""A run's events, kept in order, for any number of readers at any position.

A reader may come late, leave, or return. One that wakes up takes all events that have arrived, so that a
transport can write them at once.

The sequence number of an event is its place in its run's log, from 1. So who has had `n` events goes on from
position `n`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from app.concurrency.signal import new_signal
from app.errors import NotFound
from app.events.types import Event, RunFailed, RunFinished

MAX_BATCH = 256  # events that a reader takes at once, however far behind it is
LAST_EVENTS = frozenset((RunFinished, RunFailed))


class Settable(Protocol):
    def set(self) -> object: ...


class EventLog:
    """Append-only, one writer; closed by the first `RunFinished` or `RunFailed`.

    `events` are those of a run that goes on from there. `first` is how many older ones are not here any more;
    `earlier` is how many there were at its beginning, all together. `is_elsewhere`: the run is another
    worker's, and only those who follow it have its events come here.

    It works without a lock because of the order of the steps. The writer adds the event, then marks the end
    if it was the last one, then sets the readers' signals. A reader clears its signal, then asks whether the
    end is marked, then takes what is there. So an event added at any moment is either taken now or sets the
    signal again.
    """

    is_elsewhere = False
    is_lost = False  # it was ended for its followers here, while another worker goes on with the run

    def __init__(self, events: Iterable[Event] = (), first: int = 0) -> None:
        self._events: list[Event] = list(events)
        self.first = first
        self.earlier = first + len(self._events)
        self._readers: tuple[Settable, ...] = ()
        self._end_waiters: tuple[Settable, ...] = ()
        self.end: RunFinished | RunFailed | None = None
        if self._events and type(last := self._events[-1]) in LAST_EVENTS:
            self.end = last  # type: ignore[assignment]  # LAST_EVENTS holds just these types

    def append(self, event: Event) -> None:
        """Add `event` and wake the readers. Raises RuntimeError after the end: a run ends once."""
        if self.end is not None:
            raise RuntimeError(f"{type(event).__name__} after the run has ended")
        self._events.append(event)
        if type(event) in LAST_EVENTS:
            self.end = event  # type: ignore[assignment]  # LAST_EVENTS holds just these types
            for signal in self._end_waiters:
                signal.set()
        for signal in self._readers:
            signal.set()

    def wait(self, seconds: float | None = None) -> RunFinished | RunFailed | None:
        """The run's last event, once it has come; None if it does not come within `seconds`."""
        if self.end is None:
            signal = new_signal()
            self._end_waiters += (signal,)
            try:
                if self.end is None:
                    signal.wait(seconds)
            finally:
                self._end_waiters = tuple(one for one in self._end_waiters if one is not signal)
                signal.close()
        return self.end

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def __bool__(self) -> bool:
        """It is a log, though nothing may have happened yet."""
        return True

    @property
    def length(self) -> int:
        """How many events there have been: the sequence number of the last one."""
        return self.first + len(self._events)

    def batch(self, position: int, most: int = MAX_BATCH) -> Sequence[Event]:
        """The events from `position` on that are there now, at most so many.

        Raises NotFound: those at `position` are not here any more.
        """
        start = position - self.first
        if start < 0:
            raise NotFound(f"The first {self.first} events of this run are not kept any more.")
        return self._events[start : start + most]

    def wake(self, reader: Settable) -> None:
        """Call `reader.set()` after each event from now on. It must not wait."""
        self._readers += (reader,)

    def stop_waking(self, reader: Settable) -> None:
        """The end of `wake`."""
        self._readers = tuple(one for one in self._readers if one is not reader)

    def follow(self, position: int = 0, wake_every: float | None = None) -> Iterator[Sequence[Event]]:
        """All events from `position` on, in batches of at most MAX_BATCH, to the end of the run.

        An empty batch comes when nothing has happened for `wake_every` seconds. Raises NotFound: the events
        at `position` are not here any more.
        """
        signal = new_signal()
        self.wake(signal)
        try:
            while True:
                signal.clear()
                ended = self.end is not None
                if batch := self.batch(position):
                    position += len(batch)
                    yield batch
                elif ended:
                    return
                elif not signal.wait(wake_every):
                    yield ()
        finally:
            self.stop_waking(signal)
            signal.close()
