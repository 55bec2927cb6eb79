"""A run's stop signal.

Code that does something slow for a run (waits in a lane, reads from a provider, pauses) registers how to be
woken; `cancel()` wakes all of it. Plain threads and greenlets behave alike: nothing is killed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import GatewayError


class Cancel:
    """Set once, by the first caller that wants the run to stop; `error` says why."""

    def __init__(self) -> None:
        self.error: GatewayError | None = None
        self._lock = threading.Lock()
        self._wakers: dict[object, Callable[[], object]] = {}

    def cancel(self, error: GatewayError) -> bool:
        """Stop the run because of `error`. False if it has been stopped already."""
        with self._lock:
            if self.error is not None:
                return False
            self.error = error
            wakers = list(self._wakers.values())
        for wake in wakers:
            wake()
        return True

    @property
    def cancelled(self) -> bool:
        return self.error is not None

    def check(self) -> None:
        """Raise `error`, if the run is to stop."""
        if self.error is not None:
            raise self.error

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call `wake` if the signal comes inside the block; raise `error` at once if it has come before.

        The block must end soon after `wake` and may fail in any way: on leaving it, `error` is raised in
        place of the exception that the interruption caused.
        """
        token = object()
        self._wakers[token] = wake  # first, so that a signal is either seen here or sees this
        try:
            self.check()
            yield
        except Exception:
            self.check()
            raise
        finally:
            del self._wakers[token]
        self.check()

    def sleep(self, seconds: float) -> None:
        """Pause. Raises `error` as soon as the run is cancelled."""
        cancelled = threading.Event()
        with self.waking(cancelled.set):
            cancelled.wait(seconds)
