"""The newest log lines, of all workers: what `logs.tail` shows.

Each worker keeps its own lines in memory. The one that is asked gets the others' and puts all in order of
time. The cursor is a time then, in microseconds since 1970:

    here   lines at 10, 13, 18 (asked at 20)
    there  lines at 11, 17     (asked at 19)       -> 10 11 13 17 18, and the cursor is 19

It is the earliest time at which a worker was asked, and later lines are left for the next call: so no line is
missed or shown twice, even if the clocks of two hosts differ.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from heapq import merge
from operator import itemgetter
from typing import Any

from app.cluster.ask import Workers
from app.errors import ClusterUnavailable
from app.logs.lines import log_event
from app.logs.ring import LogRing, StampedLines, Tail, newest_that_fit

logger = logging.getLogger("app.control")


class Logs:
    """`ring` has this worker's lines."""

    def __init__(self, ring: LogRing, workers: Workers) -> None:
        self.ring = ring
        self._workers = workers
        workers.answer("logs", self._reply)

    def tail(self, cursor: int | None, most_lines: int, most_bytes: int) -> Tail:
        """The lines since `cursor`, or the newest, oldest first, within both limits."""
        if not self._workers.pubsub.is_shared:
            return self.ring.tail(cursor, most_lines, most_bytes)
        question = {"cursor": cursor, "lines": most_lines, "bytes": most_bytes}
        try:
            replies: Sequence[Mapping[str, Any]] = self._workers.ask("logs", question)
        except ClusterUnavailable as error:
            log_event(logger, logging.WARNING, "log lines of other workers are missing", why=error.message)
            replies = ()
        own = self.ring.since(cursor, most_lines, most_bytes)
        parts = [own, *(StampedLines(**reply) for reply in replies)]
        end = min(part.asked_at for part in parts)
        stamped = merge(*(part.lines for part in parts), key=itemgetter(0))
        in_order = [line for moment, line in stamped if moment <= end][-most_lines:]
        lines, truncated = newest_that_fit(reversed(in_order), most_bytes)
        truncated = truncated or any(part.truncated for part in parts)
        return Tail(end, lines, truncated, reset=any(part.reset for part in parts))

    def _reply(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.ring.since(asked["cursor"], asked["lines"], asked["bytes"])._asdict()
