"""Greenlets and native threads: blocking work off the event loop, background work on it.

Under gunicorn every request is a greenlet on one event loop (gevent's hub), and whatever blocks in C stops
all of them. `OffHub` takes such work to a native thread. In a process that is not patched (tests, the
command line) there is no loop to protect, and the same calls do the work on the spot.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.hub import Waiter
from gevent.threadpool import ThreadPool

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

# Work handed to the thread in one go: one crossing for many small pieces, and nobody waits for long
# after their own piece is done.
BATCH = 8


def is_patched() -> bool:
    """Whether this process runs greenlets in place of threads."""
    return bool(monkey.is_module_patched("threading"))


def spawn(fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Run `fn` in the background. What it raises is logged, for nobody waits for it."""
    if is_patched():
        gevent.spawn(_run_logged, fn, *args, **kwargs)
    else:
        threading.Thread(target=_run_logged, args=(fn, *args), kwargs=kwargs, daemon=True).start()


def after(seconds: float, fn: Callable[[], object]) -> None:
    """Call `fn` in the background, `seconds` from now."""
    if is_patched():
        gevent.spawn_later(seconds, _run_logged, fn)
    else:
        timer = threading.Timer(seconds, _run_logged, (fn,))
        timer.daemon = True
        timer.start()


def spawned() -> int:
    """How many `spawn`ed pieces of work are going on."""
    return len(_going_on)


_going_on: set[object] = set()


def _run_logged(fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    mark = object()
    _going_on.add(mark)
    try:
        fn(*args, **kwargs)
    except Exception:
        log.exception("background work failed: %s", getattr(fn, "__qualname__", fn))
    finally:
        _going_on.discard(mark)


def new_bell() -> Bell:
    """For one waiter at a time: half the cost of an event, which a stream pays for every token."""
    return _HubBell() if is_patched() else _ThreadBell()


class Bell(Protocol):
    """Rings until it is silenced. Any greenlet or thread of the same kind may ring it."""

    def ring(self) -> None: ...
    def silence(self) -> None: ...
    def wait(self, seconds: float | None) -> bool:
        """False if it did not ring for `seconds`."""

    def close(self) -> None:
        """Nobody will wait again."""


class _ThreadBell:
    def __init__(self) -> None:
        event = threading.Event()
        self.ring, self.silence, self.wait = event.set, event.clear, event.wait

    def close(self) -> None:
        pass


class _HubBell:
    """Has one timer for all its waiting, which is set anew only when it goes off: tokens come far oftener."""

    def __init__(self) -> None:
        self._rung = False
        self._waiter: Any = None
        self._timer: Any = None
        self._deadline = 0.0

    def ring(self) -> None:
        self._rung = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            gevent.get_hub().loop.run_callback(waiter.switch, None)

    def silence(self) -> None:
        self._rung = False

    def wait(self, seconds: float | None) -> bool:
        if self._rung:
            return True
        hub = gevent.get_hub()
        self._waiter = waiter = Waiter(hub)
        if seconds is not None:
            self._deadline = time.monotonic() + seconds
            if self._timer is None:
                self._set_timer(seconds)
        try:
            waiter.get()
        finally:
            self._waiter = None
            if seconds is None or not self._rung:
                self.close()
        return self._rung

    def close(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()

    def _set_timer(self, seconds: float) -> None:
        self._timer = gevent.get_hub().loop.timer(seconds)
        self._timer.start(self._timer_went_off)

    def _timer_went_off(self) -> None:
        self.close()
        left = self._deadline - time.monotonic()
        if left > 0:
            self._set_timer(left)
        elif self._waiter is not None:
            self._waiter.switch(None)


class OffHub:
    """One native thread, first come first served, for work that blocks (SQLite, file locks).

    Must never be called from inside its own work. Takes no thread before the first call, so that it can
    be built before a fork.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pool: ThreadPool | None = None
        self._jobs: deque[_Job[Any]] = deque()
        self._draining = False

    def call(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` in the thread and wait for it; other greenlets go on meanwhile.

        A caller that is killed while it waits does not stop the work.
        """
        if not is_patched():
            with self._lock:
                return fn(*args, **kwargs)
        job = _Job(lambda: fn(*args, **kwargs))
        self._jobs.append(job)
        if not self._draining:
            self._draining = True
            gevent.spawn(self._drain)
        return job.result()

    def close(self) -> None:
        """Let the thread finish what was asked of it and end."""
        while self._draining:
            gevent.sleep(0.001)
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.kill()

    def _drain(self) -> None:
        # One greenlet feeds the pool: gevent's own queue lets a late caller slip past those who wait.
        batch: list[_Job[Any]] = []
        try:
            pool = self._pool
            if pool is None:  # not by its truth: a pool with nothing to do is false
                pool = self._pool = ThreadPool(1)
            while self._jobs:
                batch = [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]
                pool.apply(_run_all, (batch,))
                for job in batch:
                    job.done.set()
        except Exception as error:
            for job in (*batch, *self._jobs):
                job.fail(error)
            self._jobs.clear()
        finally:
            self._draining = False


class _Job(Generic[R]):
    """A piece of work, and its outcome. Never raises in the thread: the pool would print it."""

    def __init__(self, work: Callable[[], R]) -> None:
        self.done = Event()
        self._work = work
        self._value: R | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # raised again where the caller waits
            self._error = error

    def fail(self, error: Exception) -> None:
        self._error = error
        self.done.set()

    def result(self) -> R:
        self.done.wait()
        if self._error is not None:
            raise self._error
        return cast("R", self._value)


def _run_all(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        job.run()
