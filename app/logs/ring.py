"""The newest log lines, kept in memory for operators (`logs.tail`)."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from app.clock import now_ms
from app.logs.lines import MAX_FIELD, NUMBERS, UnlockedHandler, dump_json, fields_of, timestamp
from app.logs.redaction import redact

MAX_LINES = 2000


class KeptLine(NamedTuple):
    """What is kept of a record. `created` is in seconds since 1970."""

    created: float
    level: str
    logger: str
    message: str
    fields: dict[str, Any]
    exception: str | None


class Tail(NamedTuple):
    """The end of the log. `cursor` is where to go on; `reset`: the given cursor was unknown."""

    cursor: int
    lines: list[str]
    truncated: bool
    reset: bool


class StampedLines(NamedTuple):
    """Lines with their times, in microseconds since 1970; none is later than `asked_at`."""

    asked_at: int
    lines: list[tuple[int, str]]
    truncated: bool
    reset: bool


def newest_that_fit(newest_first: Iterable[str], most_bytes: int) -> tuple[list[str], bool]:
    """The newest lines within the limit, oldest first, and whether some did not fit."""
    kept: list[str] = []
    room = most_bytes
    for line in newest_first:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    return kept[::-1], room < 0


class LogRing(UnlockedHandler):
    """Keeps the newest `most` records; they are formatted and redacted only when somebody reads them.

    Line numbers start at the milliseconds since 1970, so that a cursor from an earlier process is recognised.
    """

    def __init__(self, most: int = MAX_LINES) -> None:
        super().__init__()
        self._kept: deque[KeptLine] = deque(maxlen=most)
        self._next = now_ms()

    def install(self) -> None:
        """Keep every line that is logged from now on."""
        logging.getLogger().addHandler(self)

    def remove(self) -> None:
        """Keep no further lines."""
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
            message = record.getMessage()[:MAX_FIELD]
            kept = KeptLine(record.created, record.levelname, record.name, message, fields_of(record), trace)
        except Exception:
            self.handleError(record)
            return
        self._kept.append(kept)
        self._next += 1

    def tail(self, cursor: int | None, most_lines: int, most_bytes: int) -> Tail:
        """The lines since `cursor`, or all that are kept, oldest first; the newest ones if not all fit."""
        kept, end = list(self._kept), self._next
        first = end - len(kept)
        reset = cursor is not None and not first <= cursor <= end
        since = first if cursor is None or reset else cursor
        wanted = kept[since - first :][-most_lines:]
        lines, truncated = newest_that_fit(map(_dump_kept, reversed(wanted)), most_bytes)
        return Tail(end, lines, truncated, reset)

    def since(self, cursor: int | None, most_lines: int, most_bytes: int) -> StampedLines:
        """The same by time: the lines later than `cursor`, in microseconds since 1970."""
        asked_at, kept = time.time_ns() // 1000, list(self._kept)
        is_full = len(kept) == self._kept.maxlen
        reset = cursor is not None and (cursor > asked_at or (is_full and cursor < _micros(kept[0])))
        if cursor is not None and not reset:
            kept = [one for one in kept if _micros(one) > cursor]
        wanted = [one for one in kept if _micros(one) <= asked_at][-most_lines:]
        lines, truncated = newest_that_fit(map(_dump_kept, reversed(wanted)), most_bytes)
        moments = list(map(_micros, wanted))[len(wanted) - len(lines) :]
        return StampedLines(asked_at, list(zip(moments, lines, strict=True)), truncated, reset)


def _micros(kept: KeptLine) -> int:
    return int(kept.created * 1_000_000)


def _dump_kept(kept: KeptLine) -> str:
    """JSON with our names, and with those that OpenClaw's own clients read: `0`, `time` and `_meta`."""
    fields = {name: _shown(value) for name, value in kept.fields.items()}
    message, moment = redact(kept.message), timestamp(kept.created)
    line = {
        "0": " ".join((message, *(f"{name}={value}" for name, value in fields.items()))),
        "time": moment,
        "level": kept.level.lower(),
        "logger": kept.logger,
        "message": message,
        "_meta": {"logLevelName": kept.level, "date": moment, "name": dump_json({"subsystem": kept.logger})},
        "fields": fields,
    }
    if kept.exception is not None:
        line["exception"] = redact(kept.exception)
    return dump_json(line)


def _shown(value: Any) -> Any:
    return value if type(value) in NUMBERS else redact(str(value))[:MAX_FIELD]
