"""Whether a gateway can be started: the one check of the start, of `config check`, of each reload and of each
change of the configuration by a client.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.auth.policy import check_start
from app.config.listening import Address, widest_host
from app.config.settings import Settings
from app.errors import ConfigError
from app.storage.url import sqlite_file


def check_environment(environ: Mapping[str, str]) -> None:
    """Raise ConfigError for what gunicorn reads by itself, and cannot start with, before anything of ours."""
    written = environ.get("WEB_CONCURRENCY")
    try:
        is_count = written is None or int(written) >= 0
    except ValueError:
        is_count = False
    if not is_count:
        raise ConfigError(
            f"WEB_CONCURRENCY in the environment is {written!r}: gunicorn only starts with a whole number. "
            "Unset it: the gateway has one worker."
        )


def check_settings(settings: Settings) -> None:
    """Raise ConfigError if the gateway could not serve with these settings where it listens."""
    check_start(settings.gateway)
    sqlite_file(settings.storage_url)


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
