"""How the gateway is: ready or not, for how long, and with what in it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.errors import StorageUnavailable
from app.logs.lines import log_event
from app.runs.service import RunService
from app.sessions.base import SessionStore
from app.sessions.keys import is_visible
from app.sessions.rows import SessionFilter, StoredSession
from app.sessions.upkeep import RetentionRecord

logger = logging.getLogger("app.control")

STORAGE_CHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """How many sessions there are, and the ones used last, newest first."""

    count: int
    recent: Sequence[StoredSession]


class Status:
    """`is_stale` says whether the configuration's file has changes that could not be taken up, `sandbox`
    which one commands run in, `storage_loss` why sessions will be lost, None if they will not; `others_away`:
    whether other workers cannot be reached."""

    def __init__(
        self,
        runs: RunService,
        store: SessionStore,
        is_stale: Callable[[], bool],
        sandbox: Callable[[], str] = lambda: "unchecked",
        storage_loss: str | None = None,
        others_away: Callable[[], bool] = lambda: False,
    ) -> None:
        self._runs = runs
        self._store = store
        self._is_stale = is_stale
        self._sandbox = sandbox
        self.storage_loss = storage_loss
        self._others_away = others_away
        self._storage_checked = self._retention_read = 0.0  # on the monotonic clock
        self._retention: RetentionRecord | None = None
        self._storage_works = True
        self.started_at = time.time()

    @property
    def uptime_ms(self) -> int:
        """Milliseconds since the gateway was built."""
        return int((time.time() - self.started_at) * 1000)

    def readiness(self, verbose: bool = False) -> dict[str, Any]:
        """The document of `GET /ready` (docs/http.md#health-readiness-metrics)."""
        failing = ["draining"] if self._runs.draining else []
        if not self.storage_works():
            failing.append("storage")
        if self._others_away():
            failing.append("redis")
        document: dict[str, Any] = {"ready": not failing, "failing": failing, "uptimeMs": self.uptime_ms}
        if verbose:
            document["config"] = "stale" if self._is_stale() else "current"
            document["storage"] = f"ephemeral: {self.storage_loss}" if self.storage_loss else "persistent"
            document["activeRuns"] = self.active_runs
            document["retention"] = self.retention()
            document["execSandbox"] = self._sandbox().partition(":")[0]
        return document

    def retention(self) -> dict[str, Any]:
        """When a worker last looked for sessions to remove, and what it has removed, by reason; nulls if that
        is not known. Read at most every STORAGE_CHECK_SECONDS.
        """
        if time.monotonic() - self._retention_read > STORAGE_CHECK_SECONDS:
            self._retention_read = time.monotonic()
            with suppress(StorageUnavailable):
                self._retention = self._store.maintenance.retention.last()
        last = self._retention
        if last is None:
            return {"lastRunAt": None, "removed": None}
        return {"lastRunAt": last.started_at, "removed": last.removed}

    @property
    def active_runs(self) -> int:
        """How many runs have not ended, waiting ones included."""
        return len(self._runs.active)

    def active_runs_of(self, owner: str | None) -> int:
        """Of those, how many are in `owner`'s sessions; all for None, the operator."""
        return sum(is_visible(run.session_key, owner) for run in self._runs.active)

    def storage_works(self) -> bool:
        """Whether sessions can be stored; tried at most every STORAGE_CHECK_SECONDS, as anybody may ask."""
        if time.monotonic() - self._storage_checked > STORAGE_CHECK_SECONDS:
            try:
                self._store.maintenance.ping()
                self._storage_works = True
            except StorageUnavailable as error:
                log_event(logger, logging.WARNING, "storage does not work", error=error.message)
                self._storage_works = False
            self._storage_checked = time.monotonic()
        return self._storage_works

    def sessions(self, owner: str | None, recent: int, agent_id: str | None = None) -> SessionSummary:
        """The sessions of one agent or of all, with the `recent` newest, as far as they are `owner`'s.

        An operator (None) has all. Raises StorageUnavailable.
        """
        where = SessionFilter(agent_id=agent_id, owner=owner)
        newest = self._store.index.sessions(recent, where=where) if recent else []
        return SessionSummary(self._store.index.count(where), newest)
