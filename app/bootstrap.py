"""Settings -> Gateway: the only file that names concrete classes and puts them together.

Building opens nothing: files, connections and processes wait for their first use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from app.auth.policy import check_start
from app.concurrency.background import background_tasks, spawn
from app.concurrency.native_thread import NativeThread
from app.config.apis import ProviderApi
from app.config.edit import ConfigFile
from app.config.loader import load_settings
from app.config.settings import ProviderSettings, Settings
from app.config.watch import ConfigWatch
from app.events.bus import MemoryBus
from app.gateway import Gateway, Storage
from app.metrics import Metrics
from app.providers.base import Provider
from app.providers.builtin import BuiltinProvider
from app.providers.local import weights
from app.providers.local.provider import LocalProvider
from app.providers.local.supervisor import LocalModel
from app.providers.openai_chat.provider import OpenAIChatProvider
from app.providers.registry import BuildProvider, ProviderRegistry
from app.providers.scripted import ScriptedProvider
from app.runs.ledger import RunLedger
from app.runs.measure import RunMeter
from app.runs.service import RunService
from app.runs.tasks import TaskBuilder
from app.sessions.lanes import Lanes
from app.sessions.store import SqlSessionStore
from app.storage.sqlite.database import SqliteDatabase
from app.storage.sqlite.worker_lock import WorkerLock


def build_gateway(
    settings: Settings,
    load: Callable[[], Settings],
    load_file: Callable[[Path], Settings] | None = None,
) -> Gateway:
    """`load` reads the configuration again when its files have changed; `load_file` reads another file."""
    database = SqliteDatabase(settings.storage_url)
    owner = WorkerLock(database.directory)
    store = SqlSessionStore(database, owner)
    providers = ProviderRegistry(settings.providers, provider_builders(settings), weights.installed())
    native_thread = NativeThread()
    lanes = Lanes(settings.session.queue_cap, settings.session.queue_mode)

    def take_up(new: Settings) -> None:
        providers.update(new.providers)
        lanes.limit(new.session.queue_cap, new.session.queue_mode)

    watch = ConfigWatch(lambda: native_thread.call(load), settings, take_up)
    metrics = Metrics()
    meter = RunMeter(metrics)
    tasks = TaskBuilder(providers, meter.failed_call)
    ledger = RunLedger(settings.limits.ended_runs, settings.limits.ended_run_seconds)
    runs = RunService(
        lambda: watch.settings, tasks, store.runs, lanes, MemoryBus(), ledger, spawn, meter.ended
    )
    metrics.watch("openclaw_active_runs", "Runs going on, queued ones included.", lambda: len(runs.active))
    metrics.watch("openclaw_lanes", "Sessions with a run going on or waiting.", lambda: lanes.active)
    metrics.watch("openclaw_background_tasks", "Runs' and other background greenlets.", background_tasks)
    config_file = ConfigFile(
        lambda: watch.settings, partial(check_file, load_file or load_instead), native_thread
    )
    return Gateway(watch, runs, providers, store, Storage(database, owner), metrics, config_file)


def load_instead(file: Path) -> Settings:
    """What the configuration would be with that file."""
    return load_settings({**os.environ, "OPENCLAW_CONFIG_PATH": str(file)})


def check_file(load_file: Callable[[Path], Settings], file: Path) -> None:
    """Raise ConfigError if the gateway could not run with that file."""
    check_start(load_file(file).gateway)


def provider_builders(settings: Settings) -> Mapping[ProviderApi, BuildProvider]:
    """The literal table from a provider's `api` to what serves it."""

    local_model = LocalModel(settings.state_dir)

    def build_local(provider: ProviderSettings) -> Provider:
        return LocalProvider(provider, local_model, OpenAIChatProvider)

    return {
        "openai-completions": OpenAIChatProvider,
        "local": build_local,
        "builtin": lambda provider: BuiltinProvider(provider.name),
        "scripted": ScriptedProvider,
    }
