"""Finds a run's events by the run's id, and announces new runs to those who follow all of them.

Whoever follows a run this way needs neither the run itself nor the process it lives in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.events.log import EventLog

Listener = Callable[[str, EventLog], object]


class EventBus(Protocol):
    def publish(self, run_id: str, log: EventLog) -> None:
        """Let others find the log of a run that has been accepted, and call the listeners with it."""

    def log(self, run_id: str) -> EventLog | None:
        """The log of a published run, for a follower; None for any other run."""

    def close(self, run_id: str) -> None:
        """The run has ended: no new follower will find it. Those who follow it read on to its end."""

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(run_id, log)` for each run that is published from now on. It must not wait."""


class MemoryBus:
    """The bus of a single process."""

    def __init__(self) -> None:
        self._logs: dict[str, EventLog] = {}
        self._listeners: list[Listener] = []

    def publish(self, run_id: str, log: EventLog) -> None:
        self._logs[run_id] = log
        for listener in self._listeners:
            listener(run_id, log)

    def log(self, run_id: str) -> EventLog | None:
        return self._logs.get(run_id)

    def close(self, run_id: str) -> None:
        self._logs.pop(run_id, None)

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)
