"""What `gunicorn.conf.py` needs: the settings or a plain refusal, and the hooks of a worker's life.

The worker's class and gevent's patching are checked, because a wrong class silently serves one stream at a
time. Stopping is ours too: gunicorn cuts open streams at its deadline without telling their clients.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import gunicorn.http
import gunicorn.util
from gevent import monkey
from gunicorn.glogging import Logger

from app.concurrency.background import spawn
from app.config.listening import Address
from app.config.loader import load_settings
from app.config.restart import merged_into
from app.config.settings import Settings
from app.errors import ConfigError
from app.gateway import Gateway
from app.http.server_connections import limit_connections
from app.http.server_errors import write_error
from app.http.server_requests import get_parser
from app.logs.lines import log_event
from app.memory import collect_garbage_less, hide_memory
from app.metric_files import forget_gauges, make_folder, remove_folder
from app.start import check_settings, check_whole_start, check_workers, settings_at, worker_count

logger = logging.getLogger("app.runtime")

EX_CONFIG = 78
STOP_CHECK_SECONDS = 0.2
CLOSE_SECONDS = 8  # of the server's deadline, reserved for telling the last clients and closing


@dataclass(slots=True)
class Parent:
    """What the server's parent process knows. Its workers have it from there, for they are forks of it.

    `settings` are the last good ones; `workers` is how many it keeps running; `addresses` is where the server
    listens, empty before it does, and `is_overruled` whether its command line says so, not the settings.
    """

    settings: Settings | None = None
    workers: int = 1
    addresses: tuple[Address, ...] = ()
    metrics_folder: Path | None = None
    is_overruled: bool = False


_parent = Parent()


def start_settings(environ: Mapping[str, str]) -> Settings:
    """The settings to start with. Exits with 78, saying what is wrong, if the configuration is.

    When a running server reads its configuration again (SIGHUP), a wrong one leaves the last good settings
    in force.
    """
    try:
        settings = load_settings(environ)
        if _parent.settings:
            check_workers(_parent.workers, settings)
            check_whole_start(settings, _parent.addresses if _parent.is_overruled else ())
    except ConfigError as error:
        if _parent.settings is None:
            refuse(error)
        say(f"The last valid configuration stays in force: {error.message}")
        return _parent.settings
    _parent.settings = settings
    return settings


def worker_settings(environ: Mapping[str, str]) -> tuple[Settings, str | None]:
    """The settings of a worker that begins, and why they are not what the file says, if they are not.

    A worker may begin long after the server, and the file may have been changed or spoilt since: all workers
    keep the address and the databases of the server's start. Raises RuntimeError if the server runs without
    `gunicorn.conf.py`, whose checks are then missing.
    """
    if _parent.settings is None:
        raise RuntimeError(
            "start with -c gunicorn.conf.py: without it nothing checks who may use the gateway"
        )
    try:
        loaded = merged_into(_parent.settings, load_settings(environ))
        settings, stale = settings_at(loaded, _parent.addresses), None
        check_settings(settings)
    except ConfigError as error:
        settings, stale = settings_at(_parent.settings, _parent.addresses), error.message
        log_event(logger, logging.ERROR, "the last valid configuration stays in force", why=stale)
    return settings, stale


def metrics_folder() -> Path | None:
    """Where the workers count together; None if there can be only one."""
    return _parent.metrics_folder


def forget_worker(_server: Any, worker: Any) -> None:
    """A worker has ended. (gunicorn's `child_exit`)"""
    if _parent.metrics_folder is not None:
        forget_gauges(_parent.metrics_folder, worker.pid)


def stop_server(_server: Any) -> None:
    """The server's last moment, after its workers'. (gunicorn's `on_exit`)"""
    if _parent.metrics_folder is not None:
        remove_folder(_parent.metrics_folder)


def refuse(error: ConfigError) -> NoReturn:
    """Say why the gateway does not start, and exit."""
    say(f"The gateway does not start: {error.message}")
    sys.exit(EX_CONFIG)


def say(text: str) -> None:
    """Write to standard error: no logging is set up yet."""
    print(text, file=sys.stderr)  # noqa: T201


def count_workers(environ: Mapping[str, str]) -> int:
    """How many workers to run unless the command line says. Exits with 78 if that is no number."""
    try:
        return worker_count(environ)
    except ConfigError as error:
        refuse(error)


class ServerLog(Logger):  # type: ignore[misc]
    """Gunicorn's log without its access line, which it would format even while that is off."""

    def access(self, *_answer: Any) -> None:
        pass


def check_server(server: Any) -> None:
    """Refuse what the command line may have overridden. (gunicorn's `on_starting`)"""
    if server.cfg.worker_class_str != "gevent":
        refuse(ConfigError(f"it needs gunicorn's gevent worker, not `{server.cfg.worker_class_str}`."))
    check_count(server)
    if server.cfg.preload_app:
        refuse(ConfigError("its worker loads the application, so --preload must not be given."))
    _check_addresses(server.cfg.address)
    hide_memory()


def check_count(server: Any) -> None:
    """Refuse more workers than can share their work. Those of the command line count, too."""
    assert _parent.settings is not None
    try:
        check_workers(server.cfg.workers, _parent.settings)
    except ConfigError as error:
        refuse(error)
    _parent.workers = server.cfg.workers
    if _parent.settings.redis_url and _parent.metrics_folder is None:  # there may be several workers
        _parent.metrics_folder = make_folder()


def limit_workers(server: Any, wanted: int, before: int | None) -> None:
    """Take back a count that a signal (SIGTTIN, SIGTTOU) has changed to one that would not work.
    (gunicorn's `nworkers_changed`)
    """
    if before is None or _parent.settings is None:  # gunicorn's own start
        return
    try:
        check_workers(wanted, _parent.settings)
    except ConfigError as error:
        log_event(logger, logging.ERROR, "the number of workers stays as it is", why=error.message)
        server.num_workers = before
    else:
        _parent.workers = wanted


def check_listeners(server: Any) -> None:
    """Refuse sockets that were opened wider than the settings allow, such as systemd's. The same after a
    reload, which may have opened others. (gunicorn's `when_ready` and `on_reload`)
    """
    _check_addresses([listener.sock.getsockname() for listener in server.LISTENERS] or server.cfg.address)
    configured = _parent.settings and (_parent.settings.gateway.host, _parent.settings.gateway.port)
    _parent.is_overruled = server.cfg.address != [configured]


def _check_addresses(addresses: Sequence[Address]) -> None:
    assert _parent.settings is not None
    try:
        check_whole_start(_parent.settings, addresses)
    except ConfigError as error:
        refuse(error)
    _parent.addresses = tuple(addresses)


def start_worker(worker: Any) -> None:
    """The worker is ready to serve. (gunicorn's `post_worker_init`)"""
    for module in ("socket", "ssl", "threading"):
        if not monkey.is_module_patched(module):
            raise RuntimeError(f"{module} is not patched by gevent: start with -c gunicorn.conf.py")
    gunicorn.util.write_error = write_error  # no settings for these two
    gunicorn.http.get_parser = get_parser
    collect_garbage_less()
    gateway = _gateway(worker)
    gateway.runs.max_active = limit_connections(worker, gateway.settings.gateway.max_runs)
    gateway.start_background()
    spawn(_drain_when_stopping, worker, gateway)


def stop_worker(_server: Any, worker: Any) -> None:
    """The worker's last moment. (gunicorn's `worker_exit`)"""
    if getattr(worker, "wsgi", None) is not None:
        _gateway(worker).close()


def _drain_when_stopping(worker: Any, gateway: Gateway) -> None:
    while worker.alive:
        time.sleep(STOP_CHECK_SECONDS)
    log_event(logger, logging.INFO, "stopping", active_runs=len(gateway.runs.active))
    gateway.drain(max(0.0, worker.cfg.graceful_timeout - CLOSE_SECONDS))


def _gateway(worker: Any) -> Gateway:
    gateway: Gateway = worker.wsgi.extensions["gateway"]
    return gateway
