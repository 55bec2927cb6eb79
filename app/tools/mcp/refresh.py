"""Work that is asked for again and again, and done at most so often: reading a server's tools again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from app.concurrency.background import spawn

T = TypeVar("T")


class Seldom(Generic[T]):
    """`work` is done once for all who ask within `seconds`, and after the last of them."""

    def __init__(self, seconds: float, work: Callable[[T], object]) -> None:
        self._seconds, self._work = seconds, work
        self._lock = threading.Lock()
        self._is_coming = False

    def ask(self, subject: T) -> None:
        with self._lock:
            if self._is_coming:
                return
            self._is_coming = True
        spawn(self._later, subject)

    def _later(self, subject: T) -> None:
        time.sleep(self._seconds)
        self._is_coming = False
        self._work(subject)
