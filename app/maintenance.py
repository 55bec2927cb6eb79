"""What happens by itself while the gateway runs: removing what is too old, stopping overdue runs, ending
overdue approvals, marking the runs that a dead worker left, measuring the event loop's lag."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from app.clock import now_ms
from app.config.settings import SessionSettings, Settings
from app.errors import StorageUnavailable
from app.logs.lines import log_event
from app.metrics import Metrics
from app.runs.service import RunService
from app.sessions.base import Maintenance as StoreMaintenance
from app.sessions.upkeep import RetentionRecord
from app.storage.base import Stop
from app.tools.approvals.service import ApprovalService

logger = logging.getLogger("app.maintenance")

TIDY_SECONDS = 3600.0
CHECK_SECONDS = 1.0
LOOK_SECONDS = 2.0  # for workers that have died

CLAIM_MS = 600_000  # that a worker has for the work of retention
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 3600.0  # between two times
MAX_LOOK_SECONDS = 60.0  # between two looks whether it is due
REMOVE_SECONDS = 1.0  # that it goes on at a time
RETRY_SECONDS = 30.0


class RetentionWork:
    """Removes sessions that are too old or too many, and approvals that are long over: one worker at a time.
    Says what it has removed, and why.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        store: StoreMaintenance,
        approvals: ApprovalService,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._store = store
        self._approvals = approvals
        self._metrics = metrics
        self._next_look = 0.0  # on the monotonic clock
        self._limits = ""  # those of the last look
        self._work: RetentionRecord | None = None  # this worker's, while it goes on

    def look(self) -> None:
        """Do some of it, if it is due, and no other worker's. To be called about once a second."""
        session = self._settings().session
        limits = f"{session.prune_after_seconds:g}s, {session.max_entries}"
        if self._work is None and limits == self._limits and time.monotonic() < self._next_look:
            return
        try:
            self._limits = limits
            if self._work is None and not self._claim(limits):
                return
            self._remove(session)
        except StorageUnavailable as error:
            self._failed(error)

    def _claim(self, limits: str) -> bool:
        now = now_ms()
        wait = self._store.retention.claim(limits, now, now + CLAIM_MS)
        if wait:
            self._next_look = time.monotonic() + min(wait / 1000, MAX_LOOK_SECONDS)
            return False
        self._work = RetentionRecord("", limits, now)
        return True

    def _remove(self, session: SessionSettings) -> None:
        assert self._work is not None
        pruned = self._store.prune(
            time.time(), session.prune_after_seconds, session.max_entries, REMOVE_SECONDS
        )
        removed = {"age": pruned.by_age, "count": pruned.by_count, "hidden": pruned.hidden}
        if pruned.is_done:
            removed["approvals"] = self._approvals.forget()
        for reason, count in removed.items():
            self._work.removed[reason] = self._work.removed.get(reason, 0) + count
            if count and reason != "approvals":
                self._metrics.sessions_pruned.add(reason, amount=count)
        if pruned.is_done:
            self._ended(session)

    def _ended(self, session: SessionSettings) -> None:
        assert self._work is not None
        work, self._work = self._work, None
        work.ended_at = now_ms()
        pause = min(MAX_PAUSE_SECONDS, max(MIN_PAUSE_SECONDS, session.prune_after_seconds / 24))
        self._next_look = time.monotonic() + min(pause, MAX_LOOK_SECONDS)
        if any(work.removed.values()):
            log_event(
                logger,
                logging.INFO,
                "removed by retention",
                sessions_by_age=work.removed["age"],
                sessions_by_count=work.removed["count"],
                hidden_sessions=work.removed["hidden"],
                approvals=work.removed["approvals"],
                prune_after_seconds=session.prune_after_seconds,
                max_entries=session.max_entries,
                seconds=round((work.ended_at - work.started_at) / 1000, 1),
            )
        self._store.retention.ended(work, work.started_at + int(pause * 1000))

    def _failed(self, error: StorageUnavailable) -> None:
        self._work = None
        self._next_look = time.monotonic() + RETRY_SECONDS
        log_event(logger, logging.WARNING, "what is too old could not be removed", error=error.message)


class Maintenance:
    """`settings` gives those in force; `remove_dead_workers` removes what dead workers left in files.

    `take_over` goes on with the runs of dead workers, and returns how many it interrupted instead; without it
    all are interrupted.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        runs: RunService,
        store: StoreMaintenance,
        approvals: ApprovalService,
        remove_dead_workers: Callable[[], object],
        metrics: Metrics,
        take_over: Callable[[], int] | None = None,
    ) -> None:
        self._runs = runs
        self._store = store
        self._remove_dead_workers = remove_dead_workers
        self._metrics = metrics
        self._approvals = approvals
        self._retention = RetentionWork(settings, store, approvals, metrics)
        self._take_over = take_over or store.interrupt_orphans

    def run(self, stop: Stop) -> None:
        """Work until `stop` is set. For a greenlet of its own."""
        next_tidy = next_look = time.monotonic()
        while True:
            if time.monotonic() >= next_tidy:
                next_tidy += TIDY_SECONDS
                self.tidy_sessions()
                next_look = time.monotonic() + LOOK_SECONDS
            elif time.monotonic() >= next_look:
                next_look += LOOK_SECONDS
                self.look_after_orphans()
            self._retention.look()
            slept_from = time.monotonic()
            if stop.wait(CHECK_SECONDS):
                return
            # The event loop wakes this greenlet as late as it lets all others wait.
            self._metrics.record_lag(time.monotonic() - slept_from - CHECK_SECONDS)
            self._runs.stop_overdue()
            self._approvals.sweep()

    def look_after_orphans(self) -> None:
        """Take the runs of workers over that have died since the last look, and cancel their approvals."""
        with suppress(StorageUnavailable):  # the database has said in the log what is wrong
            self._take_orphans_over()
            self._interrupt_forgotten()
            self._approvals.tidy()

    def tidy_sessions(self) -> None:
        """Mark the runs of dead workers as interrupted, and remove what they left."""
        try:
            self._take_orphans_over()
            self._approvals.tidy()
            self._remove_dead_workers()
        except StorageUnavailable as error:
            log_event(logger, logging.WARNING, "sessions could not be tidied", error=error.message)

    def _take_orphans_over(self) -> None:
        if interrupted := self._take_over():
            log_event(
                logger, logging.WARNING, "runs of an earlier process were interrupted", runs=interrupted
            )

    def _interrupt_forgotten(self) -> None:
        if interrupted := self._store.interrupt_forgotten(lambda run_id: self._runs.get(run_id) is not None):
            log_event(
                logger,
                logging.WARNING,
                "runs whose ends could not be stored are now stored as interrupted",
                runs=interrupted,
            )
