"""Which file is the configuration, and where the gateway keeps its state.

Looks only at the environment it is given and at which files exist; reads none of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ConfigPaths:
    """`config` None: there is no file. `explicit`: the environment named it, so it has to exist.

    `candidates` are the files that would be taken up if they appeared.
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
    home = Path(environ.get("HOME") or Path.home())
    if moved := environ.get("OPENCLAW_HOME"):
        home = expand(moved, home, cwd)
    state_dir = expand(openclaw_env(environ, "STATE_DIR") or "~/.openclaw", home, cwd)
    if named := environ.get("OPENCLAW_CONFIG_PATH"):
        path = expand(named, home, cwd)
        return ConfigPaths(home, state_dir, path, explicit=True, candidates=(path,))
    candidates = [state_dir / "openclaw.json", *_older(environ, home, cwd)]
    found = next((path for path in candidates if is_there(path)), None)
    named_older = environ.get("CLAWDBOT_CONFIG_PATH")
    if found is None and named_older:
        return ConfigPaths(home, state_dir, expand(named_older, home, cwd), True, tuple(candidates))
    return ConfigPaths(home, state_dir, found, explicit=False, candidates=tuple(candidates))


def _older(environ: Mapping[str, str], home: Path, cwd: Path) -> list[Path]:
    if named := environ.get("CLAWDBOT_CONFIG_PATH"):
        return [expand(named, home, cwd)]
    older_dir = expand(environ.get("CLAWDBOT_STATE_DIR") or "~/.clawdbot", home, cwd)
    return [older_dir / "clawdbot.json"]


def is_there(path: Path) -> bool:
    """Unlike `Path.exists` never an error: a folder that may not be entered holds nothing for us."""
    return os.path.exists(path)


def expand(written: str, home: Path, cwd: Path) -> Path:
    """An absolute path: `~` is the home directory, anything relative is below `cwd`."""
    if written == "~" or written.startswith("~/"):
        return home / written[2:]
    return cwd / written
