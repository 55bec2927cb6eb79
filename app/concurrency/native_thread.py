"""One native thread for work that blocks inside C, so that the event loop goes on meanwhile.

Under gunicorn every request is a greenlet on one event loop (gevent's hub), and a call that blocks in C
(SQLite, file locks) would stop all of them. In a process that is not patched (tests, the command line) there
is no loop to protect, and the caller's own thread does the work.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, cast

import gevent
from gevent.event import Event
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

from app.concurrency.background import is_patched

P = ParamSpec("P")
R = TypeVar("R")

# Jobs handed to the thread at once: one crossing between threads for many small jobs, and no caller waits
# long for others' jobs after its own is done.
BATCH_SIZE = 8
END_SECONDS = 2.0


class NativeThread:
    """Runs jobs one after the other, first come first served.

    Must never be called from inside one of its own jobs. Starts no thread before the first call, so that it
    can be built before a fork.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pool: ThreadPool | None = None
        self._id = 0  # the system's, of the pool's thread
        self._jobs: deque[_Job[Any]] = deque()
        self._draining = False

    def call(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` in the thread and return its result, or raise its exception.

        Other greenlets go on meanwhile. A caller that is killed while it waits does not stop the work.
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
        """Let the thread finish its jobs and end. A later call starts a new one.

        Returns when the system has none such any more: the interpreter, which may end next, would crash if a
        thread of its own were still about to.
        """
        while self._draining:
            gevent.sleep(0.001)
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.kill()
            _await_end(self._id)

    def _drain(self) -> None:
        # One greenlet feeds the pool: gevent's own queue lets a late caller overtake those who wait.
        batch: list[_Job[Any]] = []
        try:
            pool = self._pool
            if pool is None:  # `is None`, because an idle pool is falsy
                pool = self._pool = ThreadPool(1)
                self._id = pool.apply(get_original("_thread", "get_native_id"))
            while self._jobs:
                batch = [self._jobs.popleft() for _ in range(min(BATCH_SIZE, len(self._jobs)))]
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
    """A call and its outcome. Never raises in the thread: the pool would print the traceback."""

    def __init__(self, work: Callable[[], R]) -> None:
        self.done = Event()
        self._work = work
        self._value: R | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # raised again by `result`, where the caller waits
            self._error = error

    def fail(self, error: Exception) -> None:
        self._error = error
        self.done.set()

    def result(self) -> R:
        """Wait for the end; the value, or the exception raised again."""
        self.done.wait()
        if self._error is not None:
            raise self._error
        return cast("R", self._value)


def _await_end(thread_id: int) -> None:
    """Wait until the thread is gone, where the system shows it (`/proc` of Linux does)."""
    deadline = time.monotonic() + END_SECONDS
    while os.path.exists(f"/proc/self/task/{thread_id}") and time.monotonic() < deadline:
        gevent.sleep(0.001)


def _run_all(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        job.run()
