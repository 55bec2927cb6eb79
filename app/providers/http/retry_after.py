"""How long a provider asks its callers to wait (RFC 9110, section 10.2.3, and `retry-after-ms` of OpenAI)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

MAX_SECONDS = 7 * 86400.0


def retry_after_seconds(header: Callable[[str], str | None]) -> float | None:
    """The seconds to wait. `header` gives an answer's header by its name, None if it was not sent.

    None if the answer does not say it, or says it unreadably, or names a moment that has passed: our own
    pause does as well. A date is compared with the answer's own `Date`, since clocks differ.
    """
    if (milliseconds := _number(header("retry-after-ms"))) is not None:
        return milliseconds / 1000
    written = header("retry-after")
    seconds = _number(written)
    if seconds is None and (until := _date(written)) is not None:
        now = _date(header("date")) or time.time()
        seconds = until - now if until > now else None
    return None if seconds is None else min(seconds, MAX_SECONDS)


def _number(written: str | None) -> float | None:
    try:
        number = float(written or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _date(written: str | None) -> float | None:
    """A date of HTTP as seconds since 1970."""
    try:
        return parsedate_to_datetime(written or "").timestamp()
    except (ValueError, OverflowError):
        return None
