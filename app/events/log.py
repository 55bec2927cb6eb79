"""A run's events, kept in order, for any number of readers at any position.

A reader may come late, leave, or return. One that wakes up takes all events that have arrived, so that a
transport can write them in one go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.events.types import Event, RunFailed, RunFinished
from app.hub import Bell, new_bell

ENDS = frozenset((RunFinished, RunFailed))


class EventLog:
    """Append-only, by one writer; closed by the first `RunFinished` or `RunFailed`.

    There is no lock, for the order of the steps makes up for it: the writer adds the event, then says that
    it was the last, then rings; a reader silences its bell, then asks whether it was the last, then looks.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._bells: tuple[Bell, ...] = ()
        self._enders: tuple[Bell, ...] = ()  # of those who wait for nothing but the end
        self.end: RunFinished | RunFailed | None = None

    def append(self, event: Event) -> None:
        """Add `event` and wake the readers. Raises RuntimeError after the end: a run ends once."""
        if self.end is not None:
            raise RuntimeError(f"{type(event).__name__} after the run has ended")
        self._events.append(event)
        if type(event) in ENDS:
            self.end = event  # type: ignore[assignment]  # as the set says
            for bell in self._enders:
                bell.ring()
        for bell in self._bells:
            bell.ring()

    def wait(self) -> RunFinished | RunFailed:
        """The run's last event, once it has come."""
        bell = new_bell()
        self._enders += (bell,)
        if self.end is None:
            bell.wait(None)
        assert self.end is not None
        return self.end

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def follow(self, position: int = 0, wake_every: float | None = None) -> Iterator[Sequence[Event]]:
        """All events from `position` on, in batches, to the end of the run.

        An empty batch comes when nothing has happened for `wake_every` seconds.
        """
        bell = new_bell()
        self._bells += (bell,)
        try:
            while True:
                bell.silence()
                ended = self.end is not None
                if batch := self._events[position:]:
                    position += len(batch)
                    yield batch
                elif ended:
                    return
                elif not bell.wait(wake_every):
                    yield ()
        finally:
            self._bells = tuple(one for one in self._bells if one is not bell)
            bell.close()
