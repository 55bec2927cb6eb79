"""What no tool may open, and no link may lead to, whatever the settings say: what has secrets in it."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress

from app.config.settings import Settings
from app.errors import ConfigError
from app.storage.url import sqlite_file

PROCESSES = "/proc"  # shows what processes have in their environment, the gateway's own among them


def protected_paths(settings: Settings) -> frozenset[str]:
    """Files and folders, without links: state, configuration, database, processes."""
    paths = [settings.state_dir, settings.config_path, *settings.sources, PROCESSES]
    with suppress(ConfigError):
        database = sqlite_file(settings.storage_url)
        paths += [database, database.with_name(f"{database.name}-wal")]
    return frozenset(os.path.realpath(path) for path in paths if path is not None)


def is_protected(place: str, root: str, protected: Collection[str]) -> bool:
    """Whether `place` is out of reach for who works in `root`, which may be in a protected folder itself.

    Both are without links.
    """
    return any(
        _is_below(place, one) and not (_is_below(root, one) and _is_below(place, root)) for one in protected
    )


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
