"""Slows down guessing: an address that sends wrong credentials too often is locked out for a while.

A missing credential does not count, and a right one always passes (docs/http.md#authentication).
"""

from __future__ import annotations

import math
import time

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.auth.network import address_group
from app.config.settings import AuthRateLimit
from app.errors import AuthRateLimited

ATTEMPT, LOCK = "attempt", "lock"


class AttemptLimiter:
    """Counts wrong credentials by the client's address; in IPv6 by its /64, which is all one client's."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def failed(self, address: str, limit: AuthRateLimit) -> None:
        """Count a wrong credential. Raises AuthRateLimited if the client is, or now becomes, locked out."""
        key = address_group(address)
        lock = RateLimitItemPerSecond(1, max(1, math.ceil(limit.lockout_seconds)))
        attempts = RateLimitItemPerSecond(limit.max_attempts, max(1, math.ceil(limit.window_seconds)))
        if not self._limiter.test(lock, LOCK, key):
            raise self._locked(lock, key)
        if not self._limiter.hit(attempts, ATTEMPT, key):
            self._limiter.hit(lock, LOCK, key)
            raise self._locked(lock, key)

    def succeeded(self, address: str, limit: AuthRateLimit) -> None:
        """Forget the client's wrong credentials."""
        attempts = RateLimitItemPerSecond(limit.max_attempts, max(1, math.ceil(limit.window_seconds)))
        self._limiter.clear(attempts, ATTEMPT, address_group(address))

    def is_locked(self, address: str, limit: AuthRateLimit) -> bool:
        """Whether the client is locked out."""
        lock = RateLimitItemPerSecond(1, max(1, math.ceil(limit.lockout_seconds)))
        return not self._limiter.test(lock, LOCK, address_group(address))

    def _locked(self, lock: RateLimitItemPerSecond, key: str) -> AuthRateLimited:
        wait = self._limiter.get_window_stats(lock, LOCK, key).reset_time - time.time()
        return AuthRateLimited("Too many wrong credentials. Try again later.", retry_after=max(1.0, wait))
