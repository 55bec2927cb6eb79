"""Bounds the failed requests of one connection: a client that keeps failing would fill the log."""

from __future__ import annotations

import time

MAX_FAILURES = 200.0  # at once
FAILURES_PER_SECOND = 20.0  # that are forgiven


class FailureLimit:
    """Counts the failures of one connection (docs/websocket.md#limits)."""

    def __init__(self) -> None:
        self._left = MAX_FAILURES
        self._failed_at = time.monotonic()

    def allow(self) -> bool:
        """Count one more failure. False if there have been too many."""
        now = time.monotonic()
        refill = (now - self._failed_at) * FAILURES_PER_SECOND
        self._left = min(MAX_FAILURES, self._left + refill) - 1
        self._failed_at = now
        return self._left >= 0
