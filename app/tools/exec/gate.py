"""What stands before a command: may it run, or does somebody have to approve it first?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from app.tools.base import Invocation


class ExecRequest(msgspec.Struct, frozen=True):
    """A command as it would be run: by the shell, in `workdir` (absolute, without links), with `env` on top
    of the environment that commands get. `ask` is the model's own wish to be asked; it can only harden.
    """

    command: str
    workdir: Path
    env: Mapping[str, str]
    ask: str | None = None


class ExecGate(Protocol):
    def permit(self, call: Invocation, request: ExecRequest) -> None:
        """Return when the command may run, which may take as long as somebody takes to approve it.

        Raises ToolBlocked, with what the model should know, if it may not.
        """
