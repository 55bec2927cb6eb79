"""Whether an SQLite file is on a disk that does not outlive this machine: a dyno's, or a container's own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from app.storage.url import is_postgres, sqlite_file

MOUNTS = Path("/proc/self/mountinfo")
LAYERS = frozenset(("overlay", "aufs"))  # of a container's image, and what it changes in that
MEMORY = frozenset(("tmpfs", "ramfs"))
WAY_OUT = "Set DATABASE_URL to a PostgreSQL database to keep them"


def why_ephemeral(url: str, environ: Mapping[str, str], mounts: Path = MOUNTS) -> str | None:
    """Why sessions in that database will be lost, with what to do; None if nothing says so."""
    if is_postgres(url):
        return None
    if environ.get("DYNO"):
        return f"sessions are in an SQLite file, and a dyno's disk is emptied at each restart. {WAY_OUT}."
    kind = _file_system(sqlite_file(url), mounts)
    if kind in LAYERS:
        return (
            f"sessions are in an SQLite file inside the container, and go with it. {WAY_OUT}, or mount a "
            "volume at the state directory (OPENCLAW_STATE_DIR)."
        )
    if kind in MEMORY:
        return f"sessions are in an SQLite file in memory ({kind}). {WAY_OUT}, or put it on a disk."
    return None


def _file_system(path: Path, mounts: Path) -> str:
    """The kind of the file system that the path is on, by proc(5); empty where there is no such list."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    whole = os.path.realpath(path)
    found, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split(" ")[4])
        is_above = place == "/" or whole == place or whole.startswith(f"{place}/")
        if is_above and len(place) >= len(found):  # of two at one place, the later one is seen
            found, kind = place, after.split(" ")[0]
    return kind
