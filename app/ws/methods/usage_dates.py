"""The days that a question about usage is about, and the moments at which they begin."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.clock import now_ms
from app.sessions.usage import DAY
from app.ws.params import Params

DEFAULT_DAYS, MAX_DAYS = 30, 3660

_OFFSET = re.compile(r"UTC([+-])(\d{1,2})(?::(\d{2}))?", re.ASCII)
_RANGES = {"7d": 7, "30d": 30, "90d": 90, "1y": 365, "all": MAX_DAYS}
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days, counted from 1970, the last one included.

    `offset` is how many milliseconds they begin before those of UTC. `first` and `last` are in milliseconds
    since 1970, `start`, `end` and `name` dates such as 2026-01-31.
    """

    from_day: int
    to_day: int
    offset: int

    @property
    def days(self) -> int:
        return self.to_day - self.from_day + 1

    @property
    def first(self) -> int:
        return self.from_day * DAY - self.offset

    @property
    def last(self) -> int:
        return (self.to_day + 1) * DAY - self.offset - 1

    @property
    def start(self) -> str:
        return self.name(self.from_day)

    @property
    def end(self) -> str:
        return self.name(self.to_day)

    def name(self, day: int) -> str:
        return (_EPOCH + timedelta(days=day)).isoformat()


def load_span(params: Params) -> Span:
    """`startDate` and `endDate`, or the last `days`, or a `range` such as `7d`."""
    offset = _offset(params)
    today = (now_ms() + offset) // DAY
    start, end = _day(params, "startDate"), _day(params, "endDate")
    if start is not None or end is not None:
        to_day = today if end is None else end
        from_day = to_day - DEFAULT_DAYS + 1 if start is None else start
        if not 0 <= to_day - from_day < MAX_DAYS:
            raise params.wrong("at /startDate", "must be a date before endDate")
        return Span(from_day, to_day, offset)
    named = _RANGES.get(params.optional_text("range") or "", DEFAULT_DAYS)
    days = params.integer("days", named, 1, MAX_DAYS)
    return Span(today - days + 1, today, offset)


def _day(params: Params, name: str) -> int | None:
    text = params.optional_text(name)
    if text is None:
        return None
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError as error:
        raise params.wrong(f"at /{name}", "must be a date such as 2026-01-31") from error


def _offset(params: Params) -> int:
    """How many milliseconds the caller's days begin before those of UTC."""
    mode = params.optional_text("mode")
    if mode == "gateway":
        return time.localtime().tm_gmtoff * 1000
    if mode != "specific":
        return 0
    zone = params.optional_text("timeZone")
    if zone:
        try:
            shift = datetime.now(UTC).astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
            return int(shift.total_seconds() * 1000)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # a zone that this machine does not know: `utcOffset` is read instead
    found = _OFFSET.fullmatch(params.optional_text("utcOffset") or "UTC+0")
    if found is None:
        raise params.wrong("at /utcOffset", "must be such as UTC+2 or UTC-4:30")
    minutes = int(found[2]) * 60 + int(found[3] or 0)
    return (minutes if found[1] == "+" else -minutes) * 60_000
