"""A run of this worker, as far as its events have been written to Redis."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from app.cluster.entries import Entry, dump_entry
from app.events.log import LAST_EVENTS, EventLog

MAX_EVENTS = 256  # of one entry


class Source:
    """`written` is the sequence number of the last event that is there for certain.

    It is woken by its log (`set`), and calls `mark` with itself once until its events have been taken.
    """

    def __init__(self, run_id: str, log: EventLog, fence: int, mark: Callable[[Source], object]) -> None:
        self.run_id = run_id
        self.log = log
        self.fence = fence
        self.base = log.earlier if fence > 1 else 0
        self._mark = mark
        self.written = log.first
        self.is_dirty = False
        self.is_closed = False
        self.is_followed = False  # on another worker
        self.is_new = True  # not announced to the other workers, or perhaps forgotten by them
        self.is_unsure = fence > 1  # what is there has to be looked up
        self.was_refused = False
        self._sizes: deque[tuple[str, int]] = deque()  # of the entries: the ids, and how many bytes each has
        self._bytes = 0
        self.lowest_kept = "0-1"

    def set(self) -> None:
        """There are more events."""
        if not self.is_dirty:
            self.is_dirty = True
            self._mark(self)

    @property
    def has_more(self) -> bool:
        """Whether there are events to be written, or something to be found out."""
        return self.is_unsure or self.log.length > self.written

    @property
    def is_complete(self) -> bool:
        """Whether all is written that will ever be."""
        return (self.is_closed or self.log.end is not None) and self.log.length <= self.written

    def is_end(self, entry: Entry) -> bool:
        """Whether the run's last event is in it."""
        return type(entry.events[-1]) in LAST_EVENTS

    def next_entry(self, worker: str, max_bytes: int) -> tuple[Entry, bytes] | None:
        """The next events to be written, and the same as bytes: hardly more than so many."""
        events = [] if self.is_unsure else list(self.log.batch(self.written, MAX_EVENTS))
        while events:
            entry = Entry(self.fence, self.base, self.written, worker, self.run_id, events)
            data = dump_entry(entry)
            if len(data) <= max_bytes or len(events) == 1:
                return entry, data
            events = events[: len(events) // 2]
        return None

    def beginning(self, worker: str) -> Entry:
        """What tells other workers of a run that they may not know, though its first events were written."""
        first = self.log.first
        return Entry(self.fence, self.base, first, worker, self.run_id, list(self.log.batch(first, 1)))

    def added(self, entry: Entry, size: int, max_bytes: int, followers: int) -> None:
        """That entry is there now; `followers` other workers have got it at once."""
        self.written = entry.end
        self.is_new = self.was_refused = False
        self.is_followed = followers > 0
        self._sizes.append((entry.id, size))
        self._bytes += size
        while self._bytes > max_bytes and len(self._sizes) > 1:
            self._bytes -= self._sizes.popleft()[1]
            self.lowest_kept = self._sizes[0][0]

    def begin_again(self) -> None:
        """Redis has lost all there was."""
        self.written = self.log.first
        self.is_unsure = False
        self.is_new = True
        self._sizes.clear()
        self._bytes = 0
        self.lowest_kept = "0-1"

    def doubt(self) -> None:
        """Redis was away: it may have lost what was written, and others the run."""
        self.is_new = True
        if self.written > self.log.first:
            self.is_unsure = True

    def replaces(self, last: Entry) -> bool:
        """Whether this worker goes on with the run from an earlier point than that entry of another one: then
        all that is there is not the run's any more.
        """
        return last.fence < self.fence and last.end != self.base

    def goes_on_after(self, last: Entry | None) -> bool:
        """Go on after the last entry there is. False if that is not this worker's to do."""
        if last is None:
            self.begin_again()
            return True
        if last.fence > self.fence or not self.log.first <= last.end <= self.log.length:
            return False
        self.written = last.end
        self.is_unsure = False
        return True
