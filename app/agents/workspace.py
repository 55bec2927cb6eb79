"""The files in an agent's workspace that go into its system prompt."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from stat import S_ISREG

from app.logs.lines import log_event
from app.tools.files.beneath import open_beneath
from app.tools.files.files import PROMPT_FILES
from app.tools.files.protected import is_protected

logger = logging.getLogger("app.agents")

MAX_CHARS = 20_000
CUT = "\n\n[The rest of this file is left out: it is longer than {limit} characters.]"

Stamp = tuple[int, int, int]


class Workspace:
    """One folder. A file is read again when its time, size or inode has changed; a missing one is skipped.

    The folder is checked for changes at most once in `check_seconds` seconds. Links that lead out of it are
    followed only if it `follows_links`: else whoever can write in it, a command of the agent included, could
    have any file of the machine sent to the model.
    """

    def __init__(self, folder: Path, check_seconds: float = 0.0, *, follows_links: bool = False) -> None:
        self._folder = folder
        self._check_seconds = check_seconds
        self._follows_links = follows_links
        self._read: dict[str, tuple[Stamp, str]] = {}
        self._next_check = 0.0  # on the monotonic clock
        self._found: list[tuple[str, str]] = []
        self._has_looked = False
        self._protected: Collection[str] = ()

    def files(self, protected: Callable[[], Collection[str]] = frozenset) -> list[tuple[str, str]]:
        """(name, text) of each file there is, in a fixed order, each at most MAX_CHARS long.

        `protected` gives what links must not lead to in any case.
        """
        now = time.monotonic()
        if now >= self._next_check:
            self._protected = protected() if self._follows_links else ()
            self._found = self._read_all()
            self._next_check = now + self._check_seconds
        return self._found

    def _read_all(self) -> list[tuple[str, str]]:
        try:
            root = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError):  # it is no folder, or out of reach
            return []
        try:
            return [(name, text) for name in PROMPT_FILES if (text := self._text(root, name)) is not None]
        finally:
            os.close(root)
            self._has_looked = True

    def _text(self, root: int, name: str) -> str | None:
        try:
            fd = self._open(root, name)
        except FileNotFoundError:
            return None
        except OSError as error:
            leads_out = error.errno in (errno.EXDEV, errno.ELOOP)
            self._warn(name, "it is a link that leads out of the workspace" if leads_out else error.strerror)
            return None
        try:
            stat = os.fstat(fd)
            if not S_ISREG(stat.st_mode):
                self._warn(name, "it is not a regular file")
                return None
            if self._protected and self._is_protected(fd):
                self._warn(name, "it is a link to what belongs to the gateway itself")
                return None
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            known = self._read.get(name)
            if known is None or known[0] != stamp:
                if self._has_looked:
                    path = str(self._folder / name)
                    log_event(logger, logging.WARNING, "system prompt file has changed", path=path)
                known = self._read[name] = (stamp, _load(fd))
        except OSError as error:
            self._warn(name, error.strerror)
            return None
        finally:
            os.close(fd)
        return known[1]

    def _open(self, root: int, name: str) -> int:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # opening a pipe would wait for ever
        if self._follows_links:
            return os.open(name, flags, dir_fd=root)
        return open_beneath(root, name, flags)

    def _is_protected(self, fd: int) -> bool:
        where = os.readlink(f"/proc/self/fd/{fd}")
        return is_protected(where, os.path.realpath(self._folder), self._protected)

    def _warn(self, name: str, why: str | None) -> None:
        path = str(self._folder / name)
        log_event(logger, logging.WARNING, "workspace file is not used", path=path, why=why)


def _load(fd: int) -> str:
    with os.fdopen(fd, encoding="utf-8-sig", errors="replace", closefd=False) as file:
        text = file.read(MAX_CHARS + 1)
    if len(text) > MAX_CHARS:
        return text[:MAX_CHARS] + CUT.format(limit=MAX_CHARS)
    return text
