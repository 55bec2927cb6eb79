"""Finds the configuration file and the state directory.

Uses only the given environment and whether files exist; reads none of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# In place of a file's path, where the environment holds the configuration itself.
IN_ENVIRONMENT = Path("OPENCLAW_CONFIG")


@dataclass(frozen=True, slots=True)
class ConfigPaths:
    """`config` None: there is no file. `explicit`: the environment named it, so it has to exist.

    `candidates` are the files that would be used if they were created.
    """

    home: Path
    state_dir: Path
    config: Path | None
    explicit: bool
    candidates: tuple[Path, ...]


def openclaw_env(environ: Mapping[str, str], name: str) -> str | None:
    """`OPENCLAW_<name>`, else the older `CLAWDBOT_<name>`; an empty one counts as unset."""
    return environ.get(f"OPENCLAW_{name}") or environ.get(f"CLAWDBOT_{name}") or None


def find_paths(environ: Mapping[str, str], cwd: Path) -> ConfigPaths:
    """The paths for that environment, in the order of `docs/config.md#which-file`."""
    home = _home(environ)
    if moved := environ.get("OPENCLAW_HOME"):
        home = expand(moved, home, cwd)
    state_dir = expand(openclaw_env(environ, "STATE_DIR") or "~/.openclaw", home, cwd)
    if environ.get(str(IN_ENVIRONMENT), "").strip():
        return ConfigPaths(home, state_dir, IN_ENVIRONMENT, explicit=True, candidates=())
    if named := environ.get("OPENCLAW_CONFIG_PATH"):
        path = expand(named, home, cwd)
        return ConfigPaths(home, state_dir, path, explicit=True, candidates=(path,))
    candidates = [state_dir / "openclaw.json", *_older(environ, home, cwd)]
    found = next((path for path in candidates if file_exists(path)), None)
    named_older = environ.get("CLAWDBOT_CONFIG_PATH")
    if found is None and named_older:
        return ConfigPaths(home, state_dir, expand(named_older, home, cwd), True, tuple(candidates))
    return ConfigPaths(home, state_dir, found, explicit=False, candidates=tuple(candidates))


def _home(environ: Mapping[str, str]) -> Path:
    try:
        return Path(environ.get("HOME") or Path.home())
    except RuntimeError:  # a container's user may have a number alone, and no entry among the system's users
        return Path("/")


def _older(environ: Mapping[str, str], home: Path, cwd: Path) -> list[Path]:
    if named := environ.get("CLAWDBOT_CONFIG_PATH"):
        return [expand(named, home, cwd)]
    older_dir = expand(environ.get("CLAWDBOT_STATE_DIR") or "~/.clawdbot", home, cwd)
    return [older_dir / "clawdbot.json"]


def file_exists(path: Path) -> bool:
    """Whether the file exists. Unlike `Path.exists` it never raises: False in a folder without permission."""
    return os.path.exists(path)


def expand(written: str, home: Path, cwd: Path) -> Path:
    """An absolute path: `~` is the home directory, anything relative is below `cwd`."""
    if written == "~" or written.startswith("~/"):
        return home / written[2:]
    return cwd / written
