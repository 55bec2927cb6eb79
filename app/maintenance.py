"""What happens by itself while the gateway runs: pruning sessions, stopping overdue runs, ending overdue
approvals, marking the runs that a dead worker left, measuring the event loop's lag."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from app.config.settings import Settings
from app.errors import StorageUnavailable
from app.logs.lines import log_event
from app.metrics import Metrics
from app.runs.service import RunService
from app.sessions.base import Maintenance as StoreMaintenance
from app.tools.approvals.service import ApprovalService

logger = logging.getLogger("app.maintenance")

PRUNE_SECONDS = 3600.0
CHECK_SECONDS = 1.0


class Stop(Protocol):
    """`threading.Event` is one."""

    def wait(self, timeout: float | None = None) -> bool: ...


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
        next_prune = time.monotonic()
        while True:
            if time.monotonic() >= next_prune:
                next_prune += PRUNE_SECONDS
                self.tidy_sessions()
            slept_from = time.monotonic()
            if stop.wait(CHECK_SECONDS):
                return
            # The event loop wakes this greenlet as late as it lets all others wait.
            self._metrics.record_lag(time.monotonic() - slept_from - CHECK_SECONDS)
            self._runs.stop_overdue()
            self._approvals.sweep()

    def tidy_sessions(self) -> None:
        """Mark the runs of dead workers as interrupted, and delete sessions that are too old or too many."""
        limits = self._settings().session
        try:
            interrupted = self._store.interrupt_orphans()
            if interrupted:
                log_event(
                    logger, logging.WARNING, "runs of an earlier process were interrupted", runs=interrupted
                )
            self._approvals.tidy()
            self._remove_dead_workers()
            self._store.prune(time.time(), limits.prune_after_seconds, limits.max_entries)
        except StorageUnavailable as error:
            log_event(logger, logging.WARNING, "sessions could not be tidied", error=error.message)
