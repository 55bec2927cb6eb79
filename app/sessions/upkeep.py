"""Words for the upkeep of sessions: what was removed, why, and when somebody last looked."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec


class Pruned(NamedTuple):
    """How many sessions were deleted because of their age, because an owner had too many, and hidden ones.

    `is_done`: there was nothing more to delete.
    """

    by_age: int = 0
    by_count: int = 0
    hidden: int = 0
    is_done: bool = True

    @property
    def total(self) -> int:
        return self.by_age + self.by_count + self.hidden


class RetentionRecord(msgspec.Struct, rename="camel"):
    """One time that somebody looked for what is to be removed. `ended_at` is None while it goes on.

    `limits` are those that were in force; `removed` is by reason. Times are milliseconds since 1970.
    """

    worker: str
    limits: str
    started_at: int
    ended_at: int | None = None
    removed: dict[str, int] = {}
    error: str | None = None


class Retention(Protocol):
    """Which worker removes what is too old, and what came of it. All methods raise StorageUnavailable."""

    def claim(self, limits: str, now: int, until: int) -> int:
        """Ask for the work: 0 if it is this worker's until the time `until`, else how long to wait, in ms.

        It is nobody's before the time that the last one has said, unless it had other `limits`.
        """

    def ended(self, record: RetentionRecord, next_at: int) -> None:
        """This worker has done it; nobody needs to do it again before `next_at`."""

    def last(self) -> RetentionRecord | None:
        """The last time that somebody did it, or has begun to."""
