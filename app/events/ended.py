"""The events of runs that have ended, as bytes, for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from app.events.codec import dump_events, load_events
from app.events.log import EventLog
from app.events.types import Event

MAX_ENTRIES = 100_000


class EndedLogs:
    """At most `max_bytes` of them, none longer than `seconds`; the oldest ones go first.

    Those of a run with more than that are not kept, and push out nothing.
    """

    def __init__(self, max_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()  # in the order they ended
        self._bytes = 0

    def add(self, run_id: str, log: EventLog) -> None:
        """Keep the log of a run that has ended."""
        self._remove(run_id)
        data, now = dump_events(list(log), self._max_bytes), self._clock()
        if data is None:
            return
        self._kept[run_id] = (now, data)
        self._bytes += len(data)
        while self._kept:
            oldest, (added, _) = next(iter(self._kept.items()))
            is_full = self._bytes > self._max_bytes or len(self._kept) > MAX_ENTRIES
            if not is_full and now - added <= self._seconds:
                return
            self._remove(oldest)

    def get(self, run_id: str) -> Sequence[Event] | None:
        """All events of that run; None if they are not kept (any more)."""
        added, data = self._kept.get(run_id, (0.0, b""))
        return load_events(data) if data and self._clock() - added <= self._seconds else None

    def _remove(self, run_id: str) -> None:
        removed = self._kept.pop(run_id, None)
        if removed is not None:
            self._bytes -= len(removed[1])
