"""Everything a transport may see of the gateway: settings, the door to runs, and how it all is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.auth.limits import AttemptLimiter
from app.concurrency.background import spawn
from app.config.apis import APIS
from app.config.edit import ConfigFile
from app.config.settings import ModelSettings, Settings
from app.config.watch import ConfigWatch
from app.errors import InvalidRequest, StorageUnavailable
from app.logs.ring import LogRing
from app.metrics import Metrics
from app.providers.local import weights
from app.providers.registry import ProviderRegistry
from app.runs.service import RunService
from app.sessions.base import SessionStore
from app.storage.sqlite.database import SqliteDatabase
from app.storage.sqlite.worker_lock import WorkerLock

logger = logging.getLogger("app")


PRUNE_SECONDS = 3600.0


STORAGE_CHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Storage:
    """What has to be given back at the end, in this order."""

    database: SqliteDatabase
    owner: WorkerLock


class Gateway:
    """Everything a transport needs: the present settings, the door to runs, and how it all is."""

    def __init__(
        self,
        watch: ConfigWatch,
        runs: RunService,
        providers: ProviderRegistry,
        store: SessionStore,
        storage: Storage,
        metrics: Metrics,
        config_file: ConfigFile,
    ) -> None:
        self._watch = watch
        watch.tell(self._tell_settings)
        self.runs = runs
        self._providers = providers
        self.store = store
        self._storage = storage
        self.metrics = metrics
        self.config_file = config_file
        self.log_ring = LogRing()
        self.auth_limiter = AttemptLimiter()
        # For transports with connections of their own: told when stopping begins, and when runs have ended.
        self.on_stopping: list[Callable[[], object]] = []
        self.on_drained: list[Callable[[], object]] = []
        self.on_settings: list[Callable[[Settings], object]] = []
        self.started_at = time.time()
        self._stopped = threading.Event()
        self._storage_seen = (0.0, True)

    @property
    def settings(self) -> Settings:
        return self._watch.settings

    def known_model(self, name: str) -> str:
        """`name` if the configuration knows that model. Raises InvalidRequest."""
        self._providers.resolve(name)
        if not self._providers.is_listed(name):
            raise InvalidRequest(
                f"Unknown model {name[:100]!r}: its provider does not list it.", param="model"
            )
        return name

    def default_model(self) -> tuple[str, str]:
        """The model of agents that name none, and why it is that one."""
        return self._providers.default_model()

    def models(self) -> list[tuple[str, ModelSettings]]:
        """Every model that is listed, with its provider's name."""
        found: list[tuple[str, ModelSettings]] = []
        for name, provider in self.settings.providers.items():
            if not APIS[provider.api].needs_local_package or weights.installed():
                suggested = [ModelSettings(provider.default_model)] if provider.default_model else []
                found += [(name, model) for model in provider.models or suggested]
        return found

    def readiness(self, verbose: bool = False) -> dict[str, Any]:
        """The document of `/ready` (contract, HTTP section 1)."""
        failing = ["draining"] if self.runs.draining else []
        if not self._storage_works():
            failing.append("storage")
        document: dict[str, Any] = {
            "ready": not failing,
            "failing": failing,
            "uptimeMs": int((time.time() - self.started_at) * 1000),
        }
        if verbose:
            document["config"] = "stale" if self._watch.stale else "current"
            document["activeRuns"] = len(self.runs.active)
        return document

    def _tell_settings(self, settings: Settings) -> None:
        for tell in self.on_settings:
            tell(settings)

    def start_housekeeping(self) -> None:
        """Begin what happens by itself: mark what an earlier process left, watch the file, end late runs."""
        self.log_ring.install()
        for note in self.settings.notes:
            logger.info("configuration: %s", note)
        if any(agent.model is None for agent in self.settings.agents):
            model, why = self.default_model()
            logger.info("default model: %s (%s)", model, why)
        spawn(self._keep_house)
        spawn(self._watch.run, self._stopped)

    def drain(self, seconds: float) -> None:
        """Let what runs end for `seconds`, refusing anything new; then stop the rest."""
        for tell in self.on_stopping:
            tell()
        self.runs.drain(seconds)
        for tell in self.on_drained:
            tell()

    def close(self) -> None:
        """Give everything back. The gateway cannot be used after it."""
        self._stopped.set()
        self.log_ring.remove()
        self._providers.close()
        self._storage.database.close()
        self._storage.owner.close()

    def _keep_house(self) -> None:
        next_prune = time.monotonic()
        while True:
            if time.monotonic() >= next_prune:
                next_prune += PRUNE_SECONDS
                self._tidy_sessions()
            asked = time.monotonic()
            if self._stopped.wait(1.0):
                return
            self.metrics.record_lag(time.monotonic() - asked - 1.0)
            self.runs.stop_overdue()

    def _tidy_sessions(self) -> None:
        limits = self.settings.session
        try:
            interrupted = self.store.maintenance.interrupt_orphans()
            if interrupted:
                logger.warning("%d runs of an earlier process were marked as interrupted", interrupted)
            self._storage.owner.remove_stale()
            self.store.maintenance.prune(time.time(), limits.prune_after_seconds, limits.max_entries)
        except StorageUnavailable as error:
            logger.warning("sessions could not be tidied: %s", error.message)

    def _storage_works(self) -> bool:
        """Whether sessions can be stored; asked at most every STORAGE_CHECK_SECONDS, as anybody may ask."""
        checked, works = self._storage_seen
        if time.monotonic() - checked > STORAGE_CHECK_SECONDS:
            try:
                self.store.maintenance.ping()
                works = True
            except StorageUnavailable as error:
                logger.warning("storage does not work: %s", error.message)
                works = False
            self._storage_seen = (time.monotonic(), works)
        return works
