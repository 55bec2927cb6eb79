"""Writes the events of this worker's runs to Redis: what all runs have had meanwhile, in one go.

Nothing waits for it. While Redis is away the events wait in the runs' logs; then it goes on from where it
was, or from the beginning where Redis has lost what it had.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from redis.exceptions import NoScriptError, ResponseError

from app.cluster.entries import (
    ADD_SCRIPT,
    ENDED_MS,
    REPLACE_SCRIPT,
    RUNNING_MS,
    Entry,
    dump_entry,
    load_reply,
)
from app.cluster.link import Command, RedisLink
from app.cluster.source import Source
from app.concurrency.background import spawn
from app.concurrency.fairness import give_way
from app.concurrency.signal import new_signal
from app.errors import ClusterUnavailable
from app.events.log import EventLog
from app.logs.lines import log_event

logger = logging.getLogger("app.cluster")

# Seconds for which events are collected: if a run of them is followed on another worker, and if none is.
FOLLOWED_PAUSE, QUIET_PAUSE = 0.015, 0.05
RETRY_SECONDS = 1.0
MAX_AT_A_TIME = 100  # runs whose events go in one write
MAX_WRITE = 1024 * 1024  # bytes of one write, and what one run adds to it
MAX_UNSENT = 1000  # runs that have ended while Redis was away
CLOSE_SECONDS = 2.0

_SHA = hashlib.sha1(ADD_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class RunWriter:
    """`worker` names this worker in what it writes; a stream has about `max_bytes` at most."""

    def __init__(self, link: RedisLink, worker: str, max_bytes: int) -> None:
        self._link = link
        self._worker = worker
        self._max_bytes = max_bytes
        self.sources: dict[str, Source] = {}
        self._signal = new_signal()
        self._dirty: list[Source] = []
        self._writing = threading.Lock()
        self._has_script = False
        self._is_running = self._is_closed = False

    def add(self, run_id: str, log: EventLog, fence: int) -> None:
        """Write that run's events from now on, to its end."""
        if not self._is_running:
            self._is_running = True
            spawn(self._run)
        source = self.sources[run_id] = Source(run_id, log, fence, self._mark)
        log.wake(source)
        source.set()

    def end(self, run_id: str) -> None:
        """There are no more events of that run, whatever its log says."""
        source = self.sources.get(run_id)
        if source is not None:
            source.is_closed = True
            if source.is_complete:
                self._remove(source)
            source.set()
            if self._link.breaker.is_away and len(self.sources) > MAX_UNSENT:
                self._forget_one()

    def _forget_one(self) -> None:
        """Redis has been away for long: the run that ended first will not be read any more."""
        ended = [source for source in self.sources.values() if source.is_closed]
        if len(ended) > MAX_UNSENT:
            self._remove(ended[0])

    def close(self) -> None:
        """Write what is left, if that is possible within some seconds."""
        self._is_closed = True
        deadline = time.monotonic() + CLOSE_SECONDS
        try:
            while self._dirty and time.monotonic() < deadline:
                self._write()
        except ClusterUnavailable:
            logger.debug("events were left unwritten")
        self._signal.set()

    def _mark(self, source: Source) -> None:
        self._dirty.append(source)
        self._signal.set()

    def _run(self) -> None:
        while not self._is_closed:
            self._signal.wait(None)
            is_followed = any(source.is_followed for source in self._dirty)
            time.sleep(FOLLOWED_PAUSE if is_followed else QUIET_PAUSE)
            self._signal.clear()
            try:
                while self._dirty and not self._is_closed:
                    self._write()
                    give_way()
            except ClusterUnavailable as error:
                time.sleep(min(RETRY_SECONDS, error.retry_after or RETRY_SECONDS))
                self._signal.set()
            except Exception:
                logger.exception("events could not be shared")
                time.sleep(RETRY_SECONDS)
                self._signal.set()

    def _write(self) -> None:
        """One write. Raises ClusterUnavailable, with all that was to be written still to be."""
        with self._writing:
            taken, self._dirty = self._dirty[:MAX_AT_A_TIME], self._dirty[MAX_AT_A_TIME:]
            self._write_some(taken)

    def _write_some(self, taken: Sequence[Source]) -> None:
        try:
            self._synchronize([source for source in taken if source.is_unsure])
            self._add(taken)
        except ClusterUnavailable:
            self._doubt_all()
            raise
        finally:
            for source in taken:
                source.is_dirty = False
                if self._has(source) and source.has_more:
                    source.set()

    def _synchronize(self, sources: Sequence[Source]) -> None:
        """Find out how much of these runs' events is there."""
        if not sources:
            return
        commands = [("XREVRANGE", self._key(source), "+", "-", "COUNT", 1) for source in sources]
        for source, reply in zip(sources, self._link.ask_all(commands), strict=True):
            if isinstance(reply, ResponseError):
                self._refused(source, reply)
            try:
                last = next(iter(load_reply(reply)), None)
            except ValueError as error:
                self._give_up(source, str(error))
                continue
            if last is not None and source.replaces(last):
                last = self._replace(source)
            if not source.goes_on_after(last):
                self._give_up(source, "another worker has the run")

    def _replace(self, source: Source) -> Entry:
        """Empty the run's stream, which takes nothing of a lower fence from then on. Its new last entry."""
        first, fence = source.log.first, source.fence
        entry = Entry(fence, source.base, first, self._worker, source.run_id, [])
        key, data = self._key(source), dump_entry(entry)
        self._link.ask("EVAL", REPLACE_SCRIPT, 1, key, entry.id, data, RUNNING_MS)
        return entry

    def _add(self, sources: Sequence[Source]) -> None:
        commands: list[Command] = [] if self._has_script else [("SCRIPT", "LOAD", ADD_SCRIPT)]
        sent: list[tuple[Source, Entry, int]] = []
        left = MAX_WRITE
        for source in sources:
            if left > 0 and self._has(source) and (made := source.next_entry(self._worker, MAX_WRITE)):
                entry, data = made
                commands.append(self._command(source, entry, data))
                sent.append((source, entry, len(data)))
                left -= len(data)
                give_way()
        if not sent:
            return
        replies = self._link.ask_all(commands)[-len(sent) :]
        self._has_script = True
        refused: ClusterUnavailable | None = None
        for (source, entry, size), reply in zip(sent, replies, strict=True):
            try:
                self._added(source, entry, size, reply)
            except ClusterUnavailable as error:
                refused = error
        if refused is not None:
            raise refused

    def _command(self, source: Source, entry: Entry, data: bytes) -> Command:
        announced = b""
        is_end = source.is_end(entry)
        if source.is_new:
            announced = data if entry.position == 0 else dump_entry(source.beginning(self._worker))
        elif is_end:
            announced = dump_entry(replace(entry, events=[]))
        return (
            *("EVALSHA", _SHA, 1, self._key(source), entry.id, source.lowest_kept, entry.position, data),
            ENDED_MS if is_end else RUNNING_MS,
            self._link.name("events", source.run_id),
            self._link.name("runs") if announced else b"",
            announced,
        )

    def _added(self, source: Source, entry: Entry, size: int, reply: Any) -> None:
        if not isinstance(reply, ResponseError):
            source.added(entry, size, self._max_bytes, followers=reply)
            if source.is_complete:
                self._remove(source)
        elif isinstance(reply, NoScriptError):  # Redis was started again
            self._has_script = False
            self._doubt_all()
        elif str(reply).startswith("GONE"):
            source.begin_again()
        elif "equal or smaller" in str(reply):  # sent twice, or the run is another worker's
            source.is_unsure = True
        else:
            self._refused(source, reply)

    def _refused(self, source: Source, error: ResponseError) -> None:
        source.is_unsure = True
        if not source.was_refused:
            source.was_refused = True
            log_event(
                logger, logging.WARNING, "Redis takes no events", run_id=source.run_id, error=str(error)
            )
        raise ClusterUnavailable("Redis takes no events.", retry_after=RETRY_SECONDS)

    def _doubt_all(self) -> None:
        for source in self.sources.values():
            source.doubt()

    def _give_up(self, source: Source, why: str) -> None:
        log_event(logger, logging.WARNING, "events are not shared any more", run_id=source.run_id, why=why)
        self._remove(source)

    def _remove(self, source: Source) -> None:
        source.log.stop_waking(source)
        if self._has(source):
            del self.sources[source.run_id]

    def _has(self, source: Source) -> bool:
        return self.sources.get(source.run_id) is source

    def _key(self, source: Source) -> bytes:
        return self._link.name("run", source.run_id)
