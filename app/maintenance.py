"""What happens by itself while the gateway runs: pruning sessions, stopping overdue runs, ending overdue
approvals, marking the runs that a dead worker left, measuring the event loop's lag."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from app.config.settings import Settings
from app.errors import StorageUnavailable
from app.logs.lines import log_event
from app.metrics import Metrics
from app.runs.service import RunService
from app.sessions.base import Maintenance as StoreMaintenance
from app.storage.base import Stop
from app.tools.approvals.service import ApprovalService

logger = logging.getLogger("app.maintenance")

PRUNE_SECONDS = 3600.0
CHECK_SECONDS = 1.0
LOOK_SECONDS = 2.0  # for workers that have died


class Maintenance:
    """`settings` gives those in force; `remove_dead_workers` removes what dead workers left in files."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        runs: RunService,
        store: StoreMaintenance,
        approvals: ApprovalService,
        remove_dead_workers: Callable[[], object],
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._runs = runs
        self._store = store
        self._remove_dead_workers = remove_dead_workers
        self._metrics = metrics
        self._approvals = approvals

    def run(self, stop: Stop) -> None:
        """Work until `stop` is set. For a greenlet of its own."""
        next_prune = next_look = time.monotonic()
        while True:
            if time.monotonic() >= next_prune:
                next_prune += PRUNE_SECONDS
                self.tidy_sessions()
                next_look = time.monotonic() + LOOK_SECONDS
            elif time.monotonic() >= next_look:
                next_look += LOOK_SECONDS
                self.look_after_orphans()
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
            self._interrupt_orphans()
            self._approvals.tidy(forget=False)

    def tidy_sessions(self) -> None:
        """Mark the runs of dead workers as interrupted, and delete sessions that are too old or too many."""
        limits = self._settings().session
        try:
            self._interrupt_orphans()
            self._approvals.tidy()
            self._remove_dead_workers()
            self._store.prune(time.time(), limits.prune_after_seconds, limits.max_entries)
        except StorageUnavailable as error:
            log_event(logger, logging.WARNING, "sessions could not be tidied", error=error.message)

    def _interrupt_orphans(self) -> None:
        if interrupted := self._store.interrupt_orphans():
            log_event(
                logger, logging.WARNING, "runs of an earlier process were interrupted", runs=interrupted
            )
