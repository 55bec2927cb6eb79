"""A run's events, kept in order, for any number of readers at any position.

A reader may come late, leave, or return. One that wakes up takes all events that have arrived, so that a
transport can write them in one go.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from app.events.types import Event, RunFailed, RunFinished


class EventLog:
    """Append-only; closed by the first `RunFinished` or `RunFailed`."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._lock = threading.Lock()
        self._bells: list[threading.Lock] = []
        self.end: RunFinished | RunFailed | None = None

    def append(self, event: Event) -> None:
        """Add `event` and wake the readers. Raises RuntimeError after the end: a run ends once."""
        with self._lock:
            if self.end is not None:
                raise RuntimeError(f"{type(event).__name__} after the run has ended")
            if isinstance(event, RunFinished | RunFailed):
                self.end = event
            self._events.append(event)
            bells, self._bells = self._bells, []
        for bell in bells:
            bell.release()

    def __len__(self) -> int:
        return len(self._events)

    def follow(self, position: int = 0, wake_every: float | None = None) -> Iterator[Sequence[Event]]:
        """All events from `position` on, in batches, to the end of the run.

        An empty batch comes when nothing has happened for `wake_every` seconds.
        """
        while True:
            with self._lock:
                batch = self._events[position:]
                if not batch and self.end is not None:
                    return
                if not batch:
                    bell = self._hang_bell()
            if batch:
                position += len(batch)
                yield batch
            elif not bell.acquire(timeout=-1 if wake_every is None else wake_every):
                self._take_down(bell)
                yield ()

    def _hang_bell(self) -> threading.Lock:
        bell = threading.Lock()
        bell.acquire()  # released by the next append
        self._bells.append(bell)
        return bell

    def _take_down(self, bell: threading.Lock) -> None:
        with self._lock:
            if bell in self._bells:
                self._bells.remove(bell)
