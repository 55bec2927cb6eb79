"""Fills the mirrors of this worker from Redis: what is said of their runs, and what is missing of it.

A mirror's channel is subscribed first, then its stream is read, then it goes on with what is said. Whenever
something may have been lost the stream is read again; the events' sequence numbers tell which are here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from redis.exceptions import ResponseError

from app.cluster.entries import Entry, load_entry, load_reply
from app.cluster.link import RedisLink
from app.cluster.mirror import FIRST_ID, Mirror
from app.cluster.subscriber import Subscriber
from app.concurrency.background import spawn
from app.concurrency.fairness import give_way
from app.concurrency.signal import new_signal
from app.errors import ClusterUnavailable, GatewayError
from app.events.bus import IsRunning
from app.logs.lines import log_event

logger = logging.getLogger("app.cluster")

MAX_READ = 100  # entries that are read at once
MAX_AT_A_TIME = 20  # mirrors that are read for at once
QUIET_SECONDS = 5.0  # then it is asked whether anything was missed, and whether the run is still going on
MAX_DOUBTS = 2  # after so many times in a row in which nobody knew the run, it is lost
RETRY_SECONDS = 1.0


class MirrorReader:
    """Reads for the mirrors that are followed."""

    def __init__(self, link: RedisLink, subscriber: Subscriber) -> None:
        self._link = link
        self._subscriber = subscriber
        self._mirrors: dict[str, Mirror] = {}
        self._unread: dict[str, Mirror] = {}
        self._signal = new_signal()
        self._works = self._is_closed = False
        self.is_running: IsRunning = lambda _run_id: None

    def attach(self, mirror: Mirror) -> None:
        """Fill the mirror from now on."""
        self._mirrors[mirror.run_id] = mirror
        mirror.heard_at = time.monotonic()
        if not self._works:
            self._works = True
            spawn(self._run)
        ready = partial(self._read_soon, mirror)
        self._subscriber.subscribe(self._channel(mirror), partial(self._heard, mirror), ready)
        self._signal.set()

    def detach(self, mirror: Mirror) -> None:
        """The end of `attach`."""
        if self._mirrors.get(mirror.run_id) is mirror:
            del self._mirrors[mirror.run_id]
            self._unread.pop(mirror.run_id, None)
            self._subscriber.unsubscribe(self._channel(mirror))

    def read(self, run_id: str, after: str = FIRST_ID) -> Sequence[Entry]:
        """The entries of a run's stream behind that id. Raises ClusterUnavailable."""
        found: list[Entry] = []
        while True:
            reply = self._link.ask(*self._command(run_id, after))
            found += _load(run_id, reply)
            if len(reply) < MAX_READ:
                return found
            after = reply[-1][0].decode()
            give_way()

    def close(self) -> None:
        """Read no more."""
        self._is_closed = True
        self._signal.set()

    def _channel(self, mirror: Mirror) -> bytes:
        return self._link.name("events", mirror.run_id)

    def _command(self, run_id: str, after: str) -> tuple[Any, ...]:
        return ("XRANGE", self._link.name("run", run_id), f"({after}", "+", "COUNT", MAX_READ)

    def _last(self, run_id: str) -> tuple[Any, ...]:
        return ("XREVRANGE", self._link.name("run", run_id), "+", "-", "COUNT", 1)

    def _heard(self, mirror: Mirror, data: bytes) -> None:
        if not mirror.take(load_entry(data)):
            self._read_soon(mirror)

    def _read_soon(self, mirror: Mirror) -> None:
        if self._mirrors.get(mirror.run_id) is mirror:
            self._unread[mirror.run_id] = mirror
            self._signal.set()

    def _run(self) -> None:
        while not self._is_closed:
            self._signal.wait(QUIET_SECONDS if self._mirrors else None)
            self._signal.clear()
            try:
                while self._unread and not self._is_closed:
                    self._read_some()
                self._look_after_quiet_ones()
            except GatewayError as error:
                time.sleep(min(RETRY_SECONDS, error.retry_after or RETRY_SECONDS))
                self._signal.set()
            except Exception:
                logger.exception("events of other workers could not be read")
                time.sleep(RETRY_SECONDS)

    def _read_some(self) -> None:
        """Read for some mirrors. Raises ClusterUnavailable, with all of them still to be read for."""
        mirrors = [mirror for mirror, _ in zip(self._unread.values(), range(MAX_AT_A_TIME), strict=False)]
        nexts = self._link.ask_all([self._command(one.run_id, one.last_id) for one in mirrors])
        lasts = self._link.ask_all([self._last(one.run_id) for one in mirrors])
        for mirror, reply, last in zip(mirrors, nexts, lasts, strict=True):
            for one in (reply, last):
                if isinstance(one, ResponseError):
                    raise ClusterUnavailable(f"Redis refuses a command: {one}", retry_after=RETRY_SECONDS)
            is_whole = fill(mirror, _load(mirror.run_id, reply))
            if len(reply) == MAX_READ or not is_whole:
                continue
            self._unread.pop(mirror.run_id, None)
            if any(entry.end > mirror.length for entry in _load(mirror.run_id, last)):
                self._read_again(mirror)

    def _read_again(self, mirror: Mirror) -> None:
        """There are more events, though nothing comes behind those that are here: the stream was lost
        meanwhile, and other ones of its events are in one entry now.
        """
        if mirror.end is None and mirror.last_id != FIRST_ID:
            mirror.last_id = FIRST_ID
            self._read_soon(mirror)

    def _look_after_quiet_ones(self) -> None:
        now = time.monotonic()
        for mirror in list(self._mirrors.values()):
            if now - mirror.heard_at < QUIET_SECONDS or mirror.end is not None:
                continue
            mirror.heard_at = now
            running = self.is_running(mirror.run_id)
            length = mirror.length
            self._read_soon(mirror)
            while self._unread and not self._is_closed:
                self._read_some()
            if running is not None and mirror.length == length:
                mirror.doubts = 0 if running else mirror.doubts + 1
                if mirror.doubts >= MAX_DOUBTS:
                    mirror.fail("The worker of this run has ended before the run did.")


def fill(mirror: Mirror, entries: Sequence[Entry]) -> bool:
    """False if it has to be read from the beginning: a stream that was lost has others of its events in one
    entry than the first time.
    """
    for entry in entries:
        if not mirror.take(entry, is_first=mirror.last_id == FIRST_ID):
            if mirror.last_id != FIRST_ID:
                mirror.last_id = FIRST_ID
                return False
            mirror.fail("The events of this run are more than are kept.")
        give_way()
    return True


def _load(run_id: str, reply: Any) -> Sequence[Entry]:
    try:
        return load_reply(reply)
    except (ValueError, IndexError) as error:  # somebody else's, or of a newer version
        log_event(logger, logging.WARNING, "events cannot be read", run_id=run_id, error=str(error))
        return ()
