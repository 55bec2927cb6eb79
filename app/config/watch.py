"""Takes up a changed configuration while the gateway runs, and keeps the last good one when it is broken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from app.config.settings import Settings
from app.config.source.paths import is_there
from app.config.source.problems import BrokenConfig
from app.errors import ConfigError

log = logging.getLogger("app.config")

_Stamp = tuple[int, int, int] | None


class Stop(Protocol):
    """`threading.Event` has it."""

    def wait(self, timeout: float | None = None) -> bool: ...


class ConfigWatch:
    """`settings` is always good; `stale` says why it is not what the file says, None if it is.

    Build it right after loading `initial`: what changes in between goes unnoticed. A file is read only
    when its stamp has changed, for the JSON5 parser is slow.
    """

    def __init__(
        self,
        load: Callable[[], Settings],
        initial: Settings,
        *on_change: Callable[[Settings], None],
        interval: float = 1.0,
    ) -> None:
        self.settings = initial
        self.stale: str | None = None
        self._load = load
        self._on_change = on_change
        self._interval = interval
        self._stamps = _stamps(initial.sources)
        self._told: set[str] = set(initial.notes)

    def tell(self, on_change: Callable[[Settings], None]) -> None:
        """Call `on_change` too, with each new settings."""
        self._on_change = (*self._on_change, on_change)

    def run(self, stop: Stop) -> None:
        """Checks until `stop` is set. For a thread of its own."""
        while not stop.wait(self._interval):
            try:
                self.check()
            except Exception:
                log.exception("the configuration could not be checked for changes")

    def check(self) -> bool:
        """Looks once; True if other settings are in force now."""
        stamps = _stamps(self._stamps)
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        try:
            loaded = self._load()
        except ConfigError as error:
            self._watch_also(error.sources if isinstance(error, BrokenConfig) else ())
            return self._keep(error.message)
        self._watch_also(loaded.sources)
        if (file := self.settings.config_path) and not is_there(file):
            return self._keep(f"{file}: is gone")
        return self._take(loaded)

    def _watch_also(self, files: Iterable[Path]) -> None:
        self._stamps.update(_stamps(file for file in files if file not in self._stamps))

    def _keep(self, why: str) -> bool:
        if why != self.stale:
            log.error("the last good configuration stays in force: %s", why)
        self.stale = why
        return False

    def _take(self, loaded: Settings) -> bool:
        if self.stale:
            log.info("the configuration is good again")
        self.stale = None
        taken = self._without_restart(loaded)
        self._tell(loaded.notes)
        if replace(taken, notes=(), sources=()) == replace(self.settings, notes=(), sources=()):
            return False
        self.settings = taken
        log.info("changed configuration in force: %s", taken.config_path)
        for tell in self._on_change:
            tell(taken)
        return True

    def _tell(self, notes: Iterable[str]) -> None:
        for note in notes:
            if note not in self._told:
                log.info(note)
        self._told.update(notes)

    def _without_restart(self, loaded: Settings) -> Settings:
        """What cannot change in a running process keeps its old value."""
        old, new = self.settings, loaded
        wanted = {
            "gateway.port": old.gateway.port != new.gateway.port,
            "gateway.bind": old.gateway.host != new.gateway.host,
            "storage.url": old.storage_url != new.storage_url,
            "redis.url": old.redis_url != new.redis_url,
        }
        if changed := [key for key, is_changed in wanted.items() if is_changed]:
            log.warning("restart the gateway for the change of %s", ", ".join(changed))
        kept = ("host", "port", "bind", "custom_bind_host")
        gateway = replace(new.gateway, **{name: getattr(old.gateway, name) for name in kept})
        return replace(new, gateway=gateway, storage_url=old.storage_url, redis_url=old.redis_url)


def _stamps(files: Iterable[Path]) -> dict[Path, _Stamp]:
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> _Stamp:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
