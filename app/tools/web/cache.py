"""Remembers what was fetched, for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
MAX_ENTRIES = 64


class Cache(Generic[T]):
    """At most MAX_ENTRIES values, each for as long as whoever asks finds acceptable."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def get(self, key: Hashable, seconds: float) -> T | None:
        """The value if it is not older than that."""
        found = self._values.get(key)
        return found[1] if found is not None and self._clock() - found[0] < seconds else None

    def put(self, key: Hashable, value: T) -> None:
        self._values[key] = (self._clock(), value)
        self._values.move_to_end(key)
        while len(self._values) > MAX_ENTRIES:
            self._values.popitem(last=False)
