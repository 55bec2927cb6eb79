"""Whether a gateway can be started: the one check of the start, of `config check`, of each reload and of each
change of the configuration by a client.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from app.auth.policy import check_start
from app.cluster.url import check_redis_url
from app.config.listening import Address, widest_host
from app.config.restart import merged_into
from app.config.settings import Settings
from app.config.source.parsed_file import ParsedFile
from app.errors import ConfigError
from app.storage.url import check_url, is_postgres


def worker_count(environ: Mapping[str, str]) -> int:
    """How many workers the environment asks for. Raises ConfigError for what gunicorn, which reads it before
    anything of ours, cannot start with.
    """
    written = environ.get("WEB_CONCURRENCY", "1")
    try:
        count = int(written)
    except ValueError:
        count = 0
    if count < 1:
        raise ConfigError(
            f"WEB_CONCURRENCY in the environment is {written!r}: gunicorn only starts with a whole number, "
            "and the gateway with one from 1 up. Unset it for one worker."
        )
    return count


def check_workers(count: int, settings: Settings) -> None:
    """Raise ConfigError if so many workers could not share what they have to (docs/deploy.md#workers)."""
    if count == 1:
        return
    missing = []
    if not is_postgres(settings.storage_url):
        missing.append(("DATABASE_URL of a PostgreSQL database (or storage.url)", "heroku-postgresql"))
    if settings.redis_url is None:
        missing.append(("REDIS_URL (or redis.url)", "heroku-redis"))
    if missing:
        names = " and ".join(name for name, _ in missing)
        addons = " and ".join(f"`heroku addons:create {addon}`" for _, addon in missing)
        raise ConfigError(
            f"{count} workers (WEB_CONCURRENCY, which Heroku sets by itself, or gunicorn's --workers) share "
            f"their sessions in PostgreSQL and their runs through Redis. Missing: {names}. Set "
            f"WEB_CONCURRENCY=1 for one worker, or add what is missing; on Heroku: {addons}."
        )


def check_settings(settings: Settings) -> None:
    """Raise ConfigError if the gateway could not serve with these settings where it listens."""
    check_start(settings.gateway)
    check_url(settings.storage_url)
    check_redis_url(settings.redis_url)


def check_whole_start(settings: Settings, addresses: Sequence[Address] = ()) -> Settings:
    """The settings of a gateway that listens at `addresses`, by default at its own. Raises ConfigError if it
    cannot.
    """
    listening = settings_at(settings, addresses)
    check_settings(listening)
    for address in addresses or ((settings.gateway.host, settings.gateway.port),):
        if isinstance(address, tuple):
            _check_address(str(address[0]), int(str(address[1])))
    return listening


def check_file(
    load_file: Callable[[ParsedFile], Settings],
    parsed: ParsedFile,
    running: Callable[[], Settings] | None = None,
) -> Settings:
    """The settings with that text as the configuration. Raises ConfigError if no gateway could be started
    with it, or the `running` one not go on with it.
    """
    loaded = load_file(parsed)
    check_whole_start(loaded)
    if running:
        check_settings(merged_into(running(), loaded))
    return loaded


def settings_at(settings: Settings, addresses: Sequence[Address]) -> Settings:
    """The settings of a gateway that listens at `addresses`; as they are if there is none."""
    if not addresses:
        return settings
    return replace(settings, gateway=replace(settings.gateway, bound_host=widest_host(addresses)))


def _check_address(host: str, port: int) -> None:
    """Raise ConfigError if this machine has no such address. One that is in use is no mistake."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return
        raise ConfigError(
            f"The gateway cannot listen on {host}, port {port}: {error.strerror}. Set gateway.bind, "
            "gateway.customBindHost and gateway.port to an address of this machine."
        ) from None
