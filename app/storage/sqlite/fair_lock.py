"""A lock that is handed on in the order it was asked for; the ones of the standard library are not."""

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
            bell = threading.Event()
            self._waiting.append(bell)
        try:
            bell.wait()
        except BaseException:
            self._give_up(bell)
            raise

    def _give_up(self, bell: threading.Event) -> None:
        with self._guard:
            if bell in self._waiting:
                self._waiting.remove(bell)
                return
        self._release()  # it was handed over just then

    def __exit__(self, *_error: object) -> None:
        self._release()

    def _release(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False
