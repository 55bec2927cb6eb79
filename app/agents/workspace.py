"""The files in an agent's workspace that go into its system prompt."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from stat import S_ISREG

from app.logs.lines import log_event
from app.tools.files.files import PROMPT_FILES

logger = logging.getLogger("app.agents")

MAX_CHARS = 20_000
CUT = "\n\n[The rest of this file is left out: it is longer than {limit} characters.]"

Stamp = tuple[int, int, int]


class Workspace:
    """One folder. A file is read again when its time, size or inode has changed; a missing one is skipped.

    The folder is checked for changes at most once in `check_seconds` seconds.
    """

    def __init__(self, folder: Path, check_seconds: float = 0.0) -> None:
        self._folder = folder
        self._check_seconds = check_seconds
        self._read: dict[str, tuple[Stamp, str]] = {}
        self._next_check = 0.0  # on the monotonic clock
        self._found: list[tuple[str, str]] = []

    def files(self) -> list[tuple[str, str]]:
        """(name, text) of each file there is, in a fixed order, each at most MAX_CHARS long."""
        now = time.monotonic()
        if now >= self._next_check:
            self._found = self._read_all()
            self._next_check = now + self._check_seconds
        return self._found

    def _read_all(self) -> list[tuple[str, str]]:
        if not os.path.isdir(self._folder):  # unlike Path.is_dir, False for a folder out of reach
            return []
        return [(name, text) for name in PROMPT_FILES if (text := self._text(name)) is not None]

    def _text(self, name: str) -> str | None:
        path = self._folder / name
        try:
            stat = os.stat(path)
            if not S_ISREG(stat.st_mode):  # opening a pipe would wait for ever
                log_event(logger, logging.WARNING, "workspace file is not a regular file", path=str(path))
                return None
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            known = self._read.get(name)
            if known is None or known[0] != stamp:
                known = self._read[name] = (stamp, _load(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            log_event(
                logger, logging.WARNING, "workspace file cannot be read", path=str(path), error=error.strerror
            )
            return None
        return known[1]


def _load(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        text = file.read(MAX_CHARS + 1)
    if len(text) > MAX_CHARS:
        return text[:MAX_CHARS] + CUT.format(limit=MAX_CHARS)
    return text
