"""A lock that waiters get in the order they asked for it, which `threading.Lock` does not promise."""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """Held inside a `with` block. Not reentrant."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            handed_over = threading.Event()
            self._waiting.append(handed_over)
        try:
            handed_over.wait()
        except BaseException:
            self._give_up(handed_over)
            raise

    def _give_up(self, handed_over: threading.Event) -> None:
        with self._guard:
            if handed_over in self._waiting:
                self._waiting.remove(handed_over)
                return
        self._release()  # it was handed over to us at the same moment: pass it on

    def __exit__(self, *_error: object) -> None:
        self._release()

    def _release(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False
