"""A run's events, kept in order, for any number of readers at any position.

A reader may come late, leave, or return. One that wakes up takes all events that have arrived, so that a
transport can write them at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.concurrency.signal import Signal, new_signal
from app.events.types import Event, RunFailed, RunFinished

MAX_BATCH = 256  # events that a reader takes at once, however far behind it is
LAST_EVENTS = frozenset((RunFinished, RunFailed))


class EventLog:
    """Append-only, one writer; closed by the first `RunFinished` or `RunFailed`.

    It works without a lock because of the order of the steps. The writer adds the event, then marks the end
    if it was the last one, then sets the readers' signals. A reader clears its signal, then asks whether the
    end is marked, then takes what is there. So an event added at any moment is either taken now or sets the
    signal again.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._readers: tuple[Signal, ...] = ()
        self._end_waiters: tuple[Signal, ...] = ()
        self.end: RunFinished | RunFailed | None = None

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

    def follow(self, position: int = 0, wake_every: float | None = None) -> Iterator[Sequence[Event]]:
        """All events from `position` on, in batches of at most MAX_BATCH, to the end of the run.

        An empty batch comes when nothing has happened for `wake_every` seconds.
        """
        signal = new_signal()
        self._readers += (signal,)
        try:
            while True:
                signal.clear()
                ended = self.end is not None
                if batch := self._events[position : position + MAX_BATCH]:
                    position += len(batch)
                    yield batch
                elif ended:
                    return
                elif not signal.wait(wake_every):
                    yield ()
        finally:
            self._readers = tuple(one for one in self._readers if one is not signal)
            signal.close()
