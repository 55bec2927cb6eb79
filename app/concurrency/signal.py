"""A signal that one waiter waits for, cheaper than an event: a stream pays for it with every token."""

from __future__ import annotations

import threading
import time
from typing import Any, Protocol

import gevent
from gevent.hub import Waiter

from app.concurrency.background import is_patched


def new_signal() -> Signal:
    """An unset signal for this kind of process: greenlets under gunicorn, plain threads elsewhere."""
    return _LoopSignal() if is_patched() else _ThreadSignal()


class Signal(Protocol):
    """Set until it is cleared. Any greenlet or thread may set it; only one may wait for it at a time."""

    def set(self) -> None: ...
    def clear(self) -> None: ...
    def wait(self, seconds: float | None) -> bool:
        """Return True once the signal is set, False if that does not happen within `seconds`."""

    def close(self) -> None:
        """Release the timer. To be called when nobody will wait again."""


class _ThreadSignal:
    def __init__(self) -> None:
        event = threading.Event()
        self.set, self.clear, self.wait = event.set, event.clear, event.wait

    def close(self) -> None:
        pass


class _LoopSignal:
    """The signal on gevent's event loop.

    A waiter is a greenlet parked in a `Waiter`. `set` does not switch to it at once but asks the loop to do
    so in its next round, so that whoever sets the signal (the run that appends an event) goes on undisturbed.

    Waiting with a time limit needs a timer, and starting one for each token costs more than the token. So one
    timer is kept across waits: each `wait` only moves `_deadline`, and a timer that fires before the deadline
    of the present wait starts itself again for what is left.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: Any = None
        self._timer: Any = None
        self._deadline = 0.0  # on the monotonic clock

    def set(self) -> None:
        self._is_set = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            gevent.get_hub().loop.run_callback(waiter.switch, None)

    def clear(self) -> None:
        self._is_set = False

    def wait(self, seconds: float | None) -> bool:
        if self._is_set:
            return True
        hub = gevent.get_hub()
        self._waiter = waiter = Waiter(hub)
        if seconds is not None:
            self._deadline = time.monotonic() + seconds
            if self._timer is None:
                self._start_timer(seconds)
        try:
            waiter.get()
        finally:
            self._waiter = None
            if seconds is None or not self._is_set:
                self.close()
        return self._is_set

    def close(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()

    def _start_timer(self, seconds: float) -> None:
        self._timer = gevent.get_hub().loop.timer(seconds)
        self._timer.start(self._on_timer)

    def _on_timer(self) -> None:
        self.close()
        left = self._deadline - time.monotonic()
        if left > 0:
            self._start_timer(left)
        elif self._waiter is not None:
            self._waiter.switch(None)
