"""Which file a word of a command means, as a shell looks it up."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec

from app.tools.exec.environment import DEFAULT_PATH


class Program(msgspec.Struct, frozen=True):
    """`path` is absolute, its folder without links; `real_path` has the last link followed, too.

    `is_bare`: it was found in `PATH`. `identity` changes when the file does.
    """

    path: Path
    real_path: Path
    is_bare: bool
    identity: str

    @property
    def folder(self) -> Path:
        return self.path.parent


def find_program(word: str, workdir: Path, folders: Sequence[str]) -> Program | None:
    """The executable file of that name: in `workdir` if it has a slash, else in the first of `folders` that
    has one. None if there is none.
    """
    if "/" in word:
        return _program(workdir / word, is_bare=False)
    for folder in folders:
        if not os.path.isabs(folder):
            return None  # it is another folder for each command: who knows what a shell finds there
        if found := _program(Path(folder, word), is_bare=True):
            return found
    return None


def search_folders(prepended: Sequence[str]) -> list[str]:
    """The folders of `PATH`, as commands get it."""
    return [*prepended, *(os.environ.get("PATH") or DEFAULT_PATH).split(os.pathsep)]


def _program(path: Path, is_bare: bool) -> Program | None:
    try:
        plain = Path(os.path.realpath(path.parent, strict=True), path.name)
        real = Path(os.path.realpath(plain, strict=True))
        found = real.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode) or not os.access(real, os.X_OK):
        return None
    return Program(plain, real, is_bare, _identity(found))


def identity_of(path: Path) -> str | None:
    """Another text when the file changes; None if there is no such file."""
    try:
        return _identity(path.stat())
    except (OSError, ValueError):
        return None


def _identity(found: os.stat_result) -> str:
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
