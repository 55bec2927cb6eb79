"""What became of runs, for a while: repeated requests and late questions are answered from here."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from app.errors import GatewayError
from app.runs.run import Run

KEEP_SECONDS = 300.0
KEEP = 1000


@dataclass(slots=True)
class Entry:
    """One run. `error` and `payload` are there once it has ended; `waiting` are told then."""

    run: Run
    ended_at: float | None = None
    error: GatewayError | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    waiting: list[Callable[[Entry], object]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.ended_at is not None

    def when_ended(self, tell: Callable[[Entry], object]) -> None:
        """Call `tell` at the end of the run, or now."""
        if self.ended:
            tell(self)
        else:
            self.waiting.append(tell)

    def end(self, payload: dict[str, Any], error: GatewayError | None) -> None:
        self.ended_at, self.payload, self.error = time.time(), payload, error
        waiting, self.waiting = self.waiting, []
        for tell in waiting:
            tell(self)


class Ledger:
    """The newest KEEP runs, ended ones for KEEP_SECONDS."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def open(self, run: Run) -> Entry:
        self._forget_old()
        entry = self._entries[run.id] = Entry(run)
        return entry

    def get(self, run_id: str) -> Entry | None:
        self._forget_old()
        return self._entries.get(run_id)

    def wait(self, runs: Iterable[Run], seconds: float) -> None:
        """Until all of them have ended and everybody has been told, at most `seconds`."""
        deadline = time.monotonic() + seconds
        for run in runs:
            entry = self._entries.get(run.id)
            if entry is not None:
                bell = threading.Event()
                entry.when_ended(partial(_ring, bell))
                bell.wait(max(0.0, deadline - time.monotonic()))

    def _forget_old(self) -> None:
        limit = time.time() - KEEP_SECONDS
        for run_id, entry in list(self._entries.items())[: max(8, len(self._entries) - KEEP)]:
            too_many = len(self._entries) > KEEP
            if entry.ended and (too_many or (entry.ended_at or 0) < limit):
                del self._entries[run_id]


def _ring(bell: threading.Event, _entry: Entry) -> None:
    bell.set()
