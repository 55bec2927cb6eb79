"""How long a server that fails is left alone: each time longer, and paused when it keeps failing."""

from __future__ import annotations

import time

PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds after the first failure, the second and so on
PAUSE_SECONDS = 300.0  # after more failures than that in a row
STABLE_SECONDS = 30.0  # a server that has worked that long has no past failures


class BackOff:
    """`why` is the last failure, "" when the last start has worked; `said` what the server said then."""

    def __init__(self) -> None:
        self.why = self.said = ""
        self._failures = 0
        self._retry_at = 0.0

    @property
    def left(self) -> float:
        """The seconds until it may be tried again; 0 or less: now."""
        return self._retry_at - time.monotonic()

    @property
    def is_paused(self) -> bool:
        """Whether it has failed so often in a row that it is not expected to work soon."""
        return self._failures > len(PAUSES)

    def failed(self, why: str, said: str) -> None:
        self.why, self.said = why, said
        pause = PAUSES[self._failures] if self._failures < len(PAUSES) else PAUSE_SECONDS
        self._failures += 1
        self._retry_at = time.monotonic() + pause

    def started(self) -> None:
        self.why = self.said = ""

    def ended(self, why: str, said: str, worked_seconds: float, has_answered: bool) -> None:
        """It has ended by itself. One that was of use may be started again at once, if not too often."""
        if worked_seconds >= STABLE_SECONDS:
            self._failures = 0
        if self._failures or not has_answered:
            self.failed(why, said)
        else:
            self._failures = 1
