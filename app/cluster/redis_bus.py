"""The bus of a gateway with Redis: the runs of all workers can be followed on any of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from weakref import WeakValueDictionary

from app.cluster.entries import FENCE_SCRIPT, RUNNING_MS, Entry, dump_entry, fence_id, load_entry
from app.cluster.link import RedisLink
from app.cluster.mirror import FIRST_ID, Mirror
from app.cluster.reader import MirrorReader, fill
from app.cluster.subscriber import Subscriber
from app.cluster.writer import RunWriter
from app.errors import ClusterUnavailable
from app.events.bus import IsRunning, Listener
from app.events.log import LAST_EVENTS, EventLog
from app.events.types import Event

MAX_OTHERS = 10_000  # runs of other workers that are known here
MAX_TRIES = 10


class RedisBus:
    """Implements `EventBus`. `worker` names this worker among the others."""

    def __init__(self, link: RedisLink, subscriber: Subscriber, worker: str, max_stream_bytes: int) -> None:
        self._link = link
        self._subscriber = subscriber
        self._worker = worker
        self.writer = RunWriter(link, worker, max_stream_bytes)
        self.reader = MirrorReader(link, subscriber)
        self._local: dict[str, EventLog] = {}
        self._mirrors: WeakValueDictionary[str, Mirror] = WeakValueDictionary()
        self._others: OrderedDict[str, Mirror] = OrderedDict()
        self._listeners: list[Listener] = []

    def publish(self, run_id: str, log: EventLog, fence: int = 1) -> None:
        """See `EventBus.publish`."""
        self._local[run_id] = log
        self.writer.add(run_id, log, fence)
        for listener in self._listeners:
            listener(run_id, log)

    def log(self, run_id: str) -> EventLog | None:
        """See `EventBus.log`."""
        local = self._local.get(run_id)
        if local is not None:
            return local
        known = self._known(run_id)
        if known is not None and known.is_followed:
            return known
        entries = self.reader.read(run_id, FIRST_ID if known is None else known.last_id)
        if not entries and known is None and not self.reader.is_running(run_id):
            return None
        mirror = self._mirror(run_id)
        fill(mirror, entries)
        return mirror

    def has(self, run_id: str) -> bool:
        """See `EventBus.has`."""
        return run_id in self._local or run_id in self.writer.sources

    def close(self, run_id: str) -> None:
        """See `EventBus.close`."""
        if self._local.pop(run_id, None) is not None:
            self.writer.end(run_id)

    def subscribe(self, listener: Listener) -> None:
        """See `EventBus.subscribe`."""
        self._listeners.append(listener)

    def attend(self, wanted: bool) -> None:
        """See `EventBus.attend`."""
        channel = self._link.name("runs")
        if wanted:
            self._subscriber.subscribe(channel, self._heard)
        else:
            self._subscriber.unsubscribe(channel)
            self._others.clear()

    def others(self) -> Sequence[tuple[str, EventLog]]:
        """See `EventBus.others`."""
        for run_id in [one for one, mirror in self._others.items() if mirror.end is not None]:
            del self._others[run_id]
        return list(self._others.items())

    def history(self, run_id: str) -> Sequence[Event] | None:
        """See `EventBus.history`."""
        unsent = self.writer.sources.get(run_id)
        if unsent is not None:
            events = list(unsent.log) if not unsent.log.first else []
        else:
            events = list(_joined(self.reader.read(run_id)))
        return events if events and type(events[-1]) in LAST_EVENTS else None

    def ask_with(self, is_running: IsRunning) -> None:
        """See `EventBus.ask_with`."""
        self.reader.is_running = is_running

    def take_over(self, run_id: str, fence: int) -> EventLog:
        """See `EventBus.take_over`."""
        key = self._link.name("run", run_id)
        for _ in range(MAX_TRIES):  # the worker before may be adding still
            entries = self.reader.read(run_id)
            log = _joined(entries)
            if entries and entries[-1].fence >= fence:
                return log
            last = entries[-1].id if entries else ""
            entry = Entry(fence, log.length, log.length, self._worker, run_id, [])
            if self._link.ask(
                "EVAL", FENCE_SCRIPT, 1, key, last, fence_id(fence), dump_entry(entry), RUNNING_MS
            ):
                return log
        raise ClusterUnavailable("The run's events change all the time.", retry_after=1.0)

    def _known(self, run_id: str) -> Mirror | None:
        """The run's mirror, if there is one that has not ended: the run may have been begun again since."""
        mirror = self._mirrors.get(run_id)
        return None if mirror is None or mirror.end is not None else mirror

    def _mirror(self, run_id: str) -> Mirror:
        mirror = self._known(run_id)
        if mirror is None:
            mirror = self._mirrors[run_id] = Mirror(run_id, self.reader.attach, self.reader.detach)
        return mirror

    def _heard(self, data: bytes) -> None:
        """Another worker has a new run, or one of its runs has ended."""
        entry = load_entry(data)
        if entry.worker == self._worker or entry.run_id in self._local:
            return
        if not entry.events:
            self._others.pop(entry.run_id, None)
            return
        known = self._others.get(entry.run_id)
        if known is not None and known.end is None:
            known.take(entry)  # it may be said again, or begun again
            if not known.is_lost:
                return
        mirror = self._mirror(entry.run_id)
        mirror.take(entry)
        if mirror.end is None:
            self._others[entry.run_id] = mirror
            if len(self._others) > MAX_OTHERS:
                self._others.popitem(last=False)
        for listener in self._listeners:
            listener(entry.run_id, mirror)


def _joined(entries: Sequence[Entry]) -> EventLog:
    """The log that these entries of a stream make."""
    mirror = Mirror("", lambda _: None, lambda _: None)
    for entry in entries:
        mirror.take(entry, is_first=entry is entries[0])
    return EventLog(mirror, mirror.first)
