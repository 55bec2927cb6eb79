"""Whether Redis is asked at all: after a failure not for a moment, so that no request waits for it again."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from app.errors import ClusterUnavailable
from app.logs.lines import log_event

FIRST_PAUSE, MAX_PAUSE = (
    0.25,
    5.0,
)  # seconds for which nobody asks after a failure; doubled by each further one
TRIAL_SECONDS = 2.0  # for which one alone asks, after a pause

logger = logging.getLogger("app.cluster")


class Breaker:
    """Counts failures and successes of one server. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._closed_until = 0.0
        self._away_since: float | None = None

    @property
    def is_away(self) -> bool:
        """Whether the last attempt has failed."""
        return self._away_since is not None

    def check(self) -> None:
        """Raise ClusterUnavailable while nobody is to ask; after that, for a moment, for all but one."""
        if self._away_since is None:
            return
        now = self._clock()
        if now < self._closed_until:
            raise self.error()
        self._closed_until = now + TRIAL_SECONDS

    def failed(self, why: str) -> ClusterUnavailable:
        """Note a failure. Returns the error for the caller to raise."""
        now = self._clock()
        if self._away_since is None:
            self._away_since = now
            log_event(logger, logging.WARNING, "Redis is away", error=why)
        self._closed_until = now + self._pause * random.uniform(0.5, 1.0)  # noqa: S311
        self._pause = min(MAX_PAUSE, self._pause * 2)
        return self.error()

    def worked(self) -> None:
        """Note that Redis has answered."""
        if self._away_since is not None:
            seconds = round(self._clock() - self._away_since, 1)
            self._away_since, self._pause = None, FIRST_PAUSE
            log_event(logger, logging.INFO, "Redis is back", away_seconds=seconds)

    def error(self) -> ClusterUnavailable:
        """What callers get while Redis is away."""
        left = max(1.0, self._closed_until - self._clock())
        return ClusterUnavailable("The other workers cannot be reached now. Try again.", retry_after=left)
