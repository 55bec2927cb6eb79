"""Reloads a changed configuration while the gateway runs; the last valid one stays in force."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from app.config.restart import changed_for_restart, merged_into
from app.config.settings import Settings
from app.config.source.paths import IN_ENVIRONMENT, file_exists
from app.config.source.problems import BrokenConfig
from app.errors import ConfigError
from app.logs.lines import log_event

logger = logging.getLogger("app.config")

_Stamp = tuple[int, int, int] | None


class StopEvent(Protocol):
    """The part of `threading.Event` that the watch uses."""

    def wait(self, timeout: float | None = None) -> bool: ...


class ConfigWatch:
    """`settings` is always valid. `stale` is None while it is what the file says, else the reason why not.

    Build it right after loading `initial`: a change in between is not noticed. A file is read only when its
    modification time, size or inode has changed, because the JSON5 parser is slow. `check` is asked about
    what would be in force after a change, and raises ConfigError if the gateway could not go on with it.
    """

    def __init__(
        self,
        load: Callable[[], Settings],
        initial: Settings,
        *listeners: Callable[[Settings], None],
        check: Callable[[Settings], object] = lambda _: None,
        interval: float = 1.0,
        stale: str | None = None,
    ) -> None:
        self.settings = initial
        self.stale = stale
        self._load = load
        self._check = check
        self._listeners = listeners
        self._interval = interval
        self._stamps = _stamps(initial.sources)
        self._logged: set[str] = set(initial.notes)

    def current(self) -> Settings:
        """The settings in force now."""
        return self.settings

    def add_listener(self, listener: Callable[[Settings], None]) -> None:
        """Call `listener` with the new settings after each change."""
        self._listeners = (*self._listeners, listener)

    def run(self, stop: StopEvent) -> None:
        """Check every `interval` seconds until `stop` is set. Run it in a thread of its own."""
        while not stop.wait(self._interval):
            try:
                self.check()
            except Exception:
                logger.exception("the configuration could not be checked for changes")

    def check(self) -> bool:
        """Look for a change once; return whether other settings are in force now."""
        stamps = _stamps(self._stamps)
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        try:
            loaded = self._load()
        except ConfigError as error:
            self._add_files(error.sources if isinstance(error, BrokenConfig) else ())
            return self._keep(error.message)
        self._add_files(loaded.sources)
        file = self.settings.config_path
        if file not in (None, IN_ENVIRONMENT) and not file_exists(file):
            return self._keep(f"{file}: the file has been removed")
        return self._apply(loaded)

    def _add_files(self, files: Iterable[Path]) -> None:
        self._stamps.update(_stamps(file for file in files if file not in self._stamps))

    def _keep(self, why: str) -> bool:
        if why != self.stale:
            log_event(logger, logging.ERROR, "the last valid configuration stays in force", why=why)
        self.stale = why
        return False

    def _apply(self, loaded: Settings) -> bool:
        new = merged_into(self.settings, loaded)
        try:
            self._check(new)
        except ConfigError as error:
            return self._keep(error.message)
        if self.stale:
            log_event(logger, logging.INFO, "the configuration is valid again")
        self.stale = None
        self._log_restarts(loaded)
        self._log_notes(loaded.notes)
        if replace(new, notes=(), sources=()) == replace(self.settings, notes=(), sources=()):
            return False
        self.settings = new
        log_event(logger, logging.INFO, "changed configuration in force", file=new.config_path)
        for listener in self._listeners:
            listener(new)
        return True

    def _log_notes(self, notes: Iterable[str]) -> None:
        for note in notes:
            if note not in self._logged:
                log_event(logger, logging.INFO, "configuration", note=note)
        self._logged.update(notes)

    def _log_restarts(self, loaded: Settings) -> None:
        """Name what the file changes and a running process cannot."""
        if changed := changed_for_restart(self.settings, loaded):
            log_event(
                logger, logging.WARNING, "restart the gateway to apply these changes", keys=", ".join(changed)
            )


def _stamps(files: Iterable[Path]) -> dict[Path, _Stamp]:
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> _Stamp:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
