"""How long a piece of work is tried again while the database is away: a failover takes some seconds."""

from __future__ import annotations

import random
import time

SECONDS = 5.0  # for what its caller can ask for again: a new request
PATIENT_SECONDS = 30.0  # for what would be lost: history, steps and end of an accepted run
ATTEMPT_SECONDS = 10.0  # for one attempt of these, as a server that stands still may have a successor
FIRST_PAUSE = 0.05
MAX_PAUSE = 1.0


class Patience:
    """The time of one piece of work, from now on."""

    def __init__(self, *, patient: bool) -> None:
        self._end = time.monotonic() + (PATIENT_SECONDS if patient else SECONDS)
        self._pause = FIRST_PAUSE

    @property
    def deadline(self) -> float:
        """By when the present attempt has to end, on the monotonic clock."""
        return min(self._end, time.monotonic() + ATTEMPT_SECONDS)

    @property
    def is_over(self) -> bool:
        """Whether another attempt would come too late."""
        return time.monotonic() + self._pause >= self._end

    def pause(self) -> None:
        """Wait before the next attempt: longer each time, and not all workers at the same moments."""
        time.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311
        self._pause = min(2 * self._pause, MAX_PAUSE)
