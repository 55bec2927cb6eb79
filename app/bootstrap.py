"""Settings -> Gateway: with `app/build/` the only place that names concrete classes and puts them together.

Building opens nothing: files, connections and processes wait for their first use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

from app.auth.limits import AttemptLimiter
from app.auth.shared_limits import SharedAttempts
from app.build.providers import build_providers
from app.build.run_tools import add_run_tools
from app.cluster.ask import Workers
from app.cluster.base import PubSub
from app.cluster.parts import ClusterParts, build_cluster
from app.concurrency.background import background_tasks, spawn
from app.concurrency.native_thread import NativeThread
from app.config.edit import ConfigFile
from app.config.loader import load_settings
from app.config.settings import Settings
from app.config.source.parsed_file import ParsedFile
from app.config.watch import ConfigWatch
from app.control.approvals import Approvals
from app.control.commands import Commands
from app.control.logs import Logs
from app.control.models import Models
from app.control.runs import AllRuns
from app.control.session_copies import SessionCopier
from app.control.session_state import SessionStates
from app.control.session_views import SessionViews
from app.control.sessions import Sessions
from app.control.status import Status
from app.control.tools import ToolCalls
from app.gateway import Gateway
from app.logs.ring import LogRing
from app.maintenance import Maintenance
from app.metrics import Metrics
from app.providers.local import weights
from app.providers.registry import ProviderRegistry
from app.runs.intake import Intake
from app.runs.ledger import RunLedger
from app.runs.measure import RunMeter
from app.runs.resume import Resumption
from app.runs.service import RunService
from app.runs.tasks import TaskBuilder
from app.runs.whereabouts import Whereabouts
from app.sessions.agent_lanes import SharedAgentLanes, local_lanes
from app.sessions.lanes import Lanes
from app.sessions.shared_lanes import SharedLanes
from app.sessions.store import SqlSessionStore
from app.start import check_file, check_settings
from app.storage.base import Database, Worker
from app.storage.ephemeral import why_ephemeral
from app.storage.sqlite.database import SqliteDatabase
from app.storage.sqlite.worker_lock import WorkerLock
from app.storage.url import is_postgres, shown_place
from app.tools.approvals.store import SqlApprovalStore, SqlDocumentStore
from app.tools.build import Tools, build_tools
from app.tools.registry import ToolRegistry


def load_instead(parsed: ParsedFile) -> Settings:
    """The settings as they would be if that text were the configuration. Raises ConfigError."""
    return load_settings(os.environ, parsed=parsed)


def build_gateway(
    settings: Settings,
    load: Callable[[], Settings],
    load_file: Callable[[ParsedFile], Settings] = load_instead,
    stale: str | None = None,
    metrics_folder: Path | None = None,
) -> Gateway:
    watch, config_file = build_config(settings, load, load_file, stale)
    current, (database, worker) = watch.current, build_database(settings.storage_url)
    cluster = build_cluster(settings)
    store, providers, workers = SqlSessionStore(database, worker), build_providers(watch), cluster.workers
    tools = tools_of(watch, database, worker, metrics := Metrics(metrics_folder), workers)
    runs, all_runs = build_runs(watch, store, worker, cluster, providers, tools.registry, metrics)
    models, sessions, views, copier = build_sessions(current, providers, store, all_runs, tools)
    maintenance, take_over = build_maintenance(watch, database, worker, store, runs, tools, metrics)
    gateway = Gateway(
        config=watch,
        config_file=config_file,
        intake=Intake(current, store.runs, models.known),
        runs=runs,
        all_runs=all_runs,
        take_over=take_over,
        store=store,
        tools=tools,
        tool_calls=ToolCalls(current, tools.registry, lambda key: store.index.describe(key) is not None),
        models=models,
        sessions=sessions,
        session_views=views,
        session_copies=copier,
        approvals=Approvals(current, tools.approvals, tools.approvals_document),
        commands=Commands(current, store, sessions, models),
        status=build_status(watch, runs, store, tools, cluster.pubsub),
        logs=Logs(LogRing(), workers),
        metrics=metrics,
        auth_limiter=SharedAttempts(AttemptLimiter(), cluster.pubsub),
        workers=workers,
        background=(worker.run, *cluster.background, maintenance.run, watch.run, *tools.at_start),
        resources=(tools, providers, *cluster.resources, worker, database, metrics),
    )
    return add_run_tools(gateway)


def build_config(
    settings: Settings,
    load: Callable[[], Settings],
    load_file: Callable[[ParsedFile], Settings],
    stale: str | None,
) -> tuple[ConfigWatch, ConfigFile]:
    """What follows the configuration's files, and what clients change them by.

    `load` reads the configuration again, `load_file` another text; `stale`: why it is not what is used.
    """
    thread = NativeThread()
    watch = ConfigWatch(lambda: thread.call(load), settings, check=check_settings, stale=stale)
    check = partial(check_file, load_file, running=watch.current)
    return watch, ConfigFile(watch.current, check, thread)


def build_status(
    watch: ConfigWatch, runs: RunService, store: SqlSessionStore, tools: Tools, pubsub: PubSub
) -> Status:
    """How the gateway is, as its parts say."""
    return Status(
        runs,
        store,
        lambda: watch.stale is not None,
        lambda: tools.exec.sandbox.state,
        why_ephemeral(watch.settings.storage_url, os.environ),
        lambda: pubsub.is_away,
    )


def tools_of(
    watch: ConfigWatch, database: Database, worker: Worker, metrics: Metrics, workers: Workers
) -> Tools:
    """The tools, with what they keep in the database, and each change of the configuration taken over."""
    place = shown_place(watch.settings.storage_url)
    approvals, document = SqlApprovalStore(database, worker), SqlDocumentStore(database, place)
    tools = build_tools(watch.current, approvals, document, workers)
    watch.add_listener(tools.update)
    service = tools.approvals
    metrics.watch("openclaw_approvals_pending", "Calls that wait for approval.", lambda: service.waiting)
    return tools


def build_runs(
    watch: ConfigWatch,
    store: SqlSessionStore,
    worker: Worker,
    cluster: ClusterParts,
    providers: ProviderRegistry,
    tools: ToolRegistry,
    metrics: Metrics,
) -> tuple[RunService, AllRuns]:
    """What starts runs, with its queues and the gauges that count it; and the runs of all workers."""
    session, limits, meter = watch.settings.session, watch.settings.limits, RunMeter(metrics)
    lanes = SharedLanes(store.runs, cluster.pubsub) if is_postgres(watch.settings.storage_url) else Lanes()
    lanes.limit(session.queue_cap, session.queue_mode)
    watch.add_listener(lambda new: lanes.limit(new.session.queue_cap, new.session.queue_mode))
    tasks = TaskBuilder(lambda: watch.settings, providers, tools, meter.failed_call)
    ledger = RunLedger(limits.ended_runs, limits.ended_run_seconds)
    agents = local_lanes() if cluster.slots is None else SharedAgentLanes(cluster.slots, cluster.pubsub)
    runs = RunService(
        *(lambda: watch.settings, tasks, store.runs, lanes, cluster.bus, ledger, spawn, meter.ended),
        agents=agents,
        check=worker.check,
        is_shared=cluster.pubsub.is_shared and is_postgres(watch.settings.storage_url),
    )
    worker.when_lost(runs.lose)
    cluster.bus.ask_with(Whereabouts(runs, store.runs, cluster.workers).is_running)
    metrics.watch("openclaw_active_runs", "Runs going on, queued ones included.", lambda: len(runs.active))
    metrics.watch("openclaw_lanes", "Sessions with a run going on or waiting.", lambda: lanes.active)
    metrics.watch("openclaw_background_tasks", "Runs' and other background greenlets.", background_tasks)
    return runs, AllRuns(runs, store.run_index, worker, cluster.workers)


def build_maintenance(
    watch: ConfigWatch,
    database: Database,
    worker: Worker,
    store: SqlSessionStore,
    runs: RunService,
    tools: Tools,
    metrics: Metrics,
) -> tuple[Maintenance, Callable[[], int]]:
    """What happens by itself; and the going on with runs of dead workers, for who cannot wait for that."""
    approvals = SqlApprovalStore(database, worker)
    resumption = Resumption(runs, store.runs, store.maintenance, approvals.take_back)
    maintenance = Maintenance(
        *(watch.current, runs, store.maintenance, tools.approvals, worker.remove_stale, metrics),
        take_over=resumption.look,
    )
    return maintenance, resumption.look


def build_sessions(
    settings: Callable[[], Settings],
    providers: ProviderRegistry,
    store: SqlSessionStore,
    runs: AllRuns,
    tools: Tools,
) -> tuple[Models, Sessions, SessionViews, SessionCopier]:
    """Which models answer in sessions, what changes these, what readers see of them, and what copies them."""
    models = Models(settings, providers, weights.installed())
    states = SessionStates(store.pages, runs.here, tools.approvals, tools.questions)
    sessions = Sessions(settings, store, runs, models)
    views = SessionViews(settings, store, states, models)
    return models, sessions, views, SessionCopier(settings, store.copies, sessions, views, models)


def build_database(url: str) -> tuple[Database, Worker]:
    """The database that `storage.url` names, and this process as one that uses it."""
    if is_postgres(url):
        # Its client takes memory, which only those who have such a database should spend.
        built: tuple[Database, Worker] = import_module("app.storage.postgres.worker_lease").build(url)
        return built
    database = SqliteDatabase(url)
    return database, WorkerLock(database.directory)
