"""Finds a run's events by the run's id, and announces new runs to those who follow all of them.

Whoever follows a run this way needs neither the run itself nor the process it lives in. With Redis those are
the runs of all workers (`app/cluster/redis_bus.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from app.events.ended import EndedLogs
from app.events.log import EventLog
from app.events.types import Event

Listener = Callable[[str, EventLog], object]
IsRunning = Callable[[str], bool | None]


class EventBus(Protocol):
    """Raises ClusterUnavailable where it says so: the other workers' runs cannot be reached now."""

    def publish(self, run_id: str, log: EventLog, fence: int = 1) -> None:
        """Let others find the log of a run that has been accepted, and call the listeners with it.

        It has at least `RunStarted`. A run that was taken over (`take_over`) has the events so far, too.
        """

    def log(self, run_id: str) -> EventLog | None:
        """The log of a run that goes on, for a follower; None if there is no such run.

        It may be that of a run that has ended within the last hour. Raises ClusterUnavailable.
        """

    def has(self, run_id: str) -> bool:
        """Whether this worker has events of the run that have not reached all who may follow it."""

    def close(self, run_id: str) -> None:
        """The run has ended: no new follower will find it. Those who follow it read on to its end."""

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(run_id, log)` for each run that is published from now on. It must not wait.

        If `attend` is on, also for those of other workers. Only following their log gets more events than are
        in it already.
        """

    def attend(self, wanted: bool) -> None:
        """Whether listeners are called for the runs of other workers, too; not at first, as that costs."""

    def others(self) -> Sequence[tuple[str, EventLog]]:
        """The runs of other workers that listeners were called for, and that have not ended since."""

    def history(self, run_id: str) -> Sequence[Event] | None:
        """All events of a run that has ended within the last hour; None for any other run, and for one whose
        events are too many or too old to be kept. Raises ClusterUnavailable.
        """

    def ask_with(self, is_running: IsRunning) -> None:
        """Ask `is_running(run_id)` of runs of other workers that nothing is heard of: whether they go on
        somewhere, or will soon; None if that cannot be known now. It may wait.
        """

    def take_over(self, run_id: str, fence: int) -> EventLog:
        """A new log with the events so far of a run that this worker goes on with, under a higher fence.

        The worker before adds none from now on. It is empty if there is nothing left of them, and has an end
        if that is all that was missing. Raises ClusterUnavailable.
        """


class MemoryBus:
    """The bus of a single process. The events of at most `max_bytes` stay for `seconds` after a run's end."""

    def __init__(self, max_bytes: int = 0, seconds: float = 0.0) -> None:
        self._logs: dict[str, EventLog] = {}
        self._ended = EndedLogs(max_bytes, seconds)
        self._listeners: list[Listener] = []

    def publish(self, run_id: str, log: EventLog, fence: int = 1) -> None:  # noqa: ARG002 - nobody else writes
        self._logs[run_id] = log
        for listener in self._listeners:
            listener(run_id, log)

    def log(self, run_id: str) -> EventLog | None:
        return self._logs.get(run_id)

    def has(self, run_id: str) -> bool:
        return run_id in self._logs

    def close(self, run_id: str) -> None:
        log = self._logs.pop(run_id, None)
        if log is not None:
            self._ended.add(run_id, log)

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def attend(self, wanted: bool) -> None: ...

    def others(self) -> Sequence[tuple[str, EventLog]]:
        return ()

    def history(self, run_id: str) -> Sequence[Event] | None:
        return self._ended.get(run_id)

    def ask_with(self, is_running: IsRunning) -> None: ...

    def take_over(self, run_id: str, fence: int) -> EventLog:  # noqa: ARG002 - nobody else has any
        return EventLog()
