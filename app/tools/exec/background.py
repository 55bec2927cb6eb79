"""Background commands: those that go on after the call that started them has answered.

Each belongs to a scope, which is the session's key. No other can see it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from app.tools.base import RunContext, ToolError
from app.tools.exec.command import Command
from app.tools.exec.names import new_name

MAX_PER_SCOPE = 16  # that are running
MAX_KEPT = 64  # in all, those that have ended included


class BackgroundCommand(msgspec.Struct, frozen=True, eq=False):
    """`keep_seconds`: how long it is remembered after its end."""

    name: str
    scope: str
    command: Command
    keep_seconds: float


class BackgroundCommands:
    def __init__(self) -> None:
        self._by_name: dict[str, BackgroundCommand] = {}

    def check_room(self, scope: str) -> None:
        """Raise ToolError if the scope has as many running as it may."""
        running = [one.name for one in self.of(scope) if one.command.ended is None]
        if len(running) >= MAX_PER_SCOPE:
            raise ToolError(
                f"{MAX_PER_SCOPE} background commands are running, which is as many as may: "
                f"{', '.join(running)}. End one first: process, action kill."
            )

    def add(self, scope: str, command: Command, keep_seconds: float) -> BackgroundCommand:
        self._forget_old()
        one = BackgroundCommand(new_name(self._by_name), scope, command, keep_seconds)
        self._by_name[one.name] = one
        return one

    def of(self, scope: str) -> Sequence[BackgroundCommand]:
        """Those of the scope, oldest first."""
        self._forget_old()
        return [one for one in self._by_name.values() if one.scope == scope]

    def find(self, scope: str, name: str) -> BackgroundCommand:
        """Raises ToolError: the scope has none of that name."""
        for one in self.of(scope):
            if one.name == name:
                return one
        names = ", ".join(one.name for one in self.of(scope)) or "none"
        raise ToolError(f"No session {name[:80]!r} found. There are: {names}.")

    def forget(self, one: BackgroundCommand) -> None:
        self._by_name.pop(one.name, None)

    def end_scope(self, scope: str) -> None:
        """Nobody can reach the scope's commands any more: end and forget them."""
        for one in [one for one in self._by_name.values() if one.scope == scope]:
            one.command.close()
            self.forget(one)

    def _forget_old(self) -> None:
        now = time.monotonic()
        ended = [one for one in self._by_name.values() if one.command.ended is not None]
        for one in ended:
            if now - one.command.ended_at > one.keep_seconds:
                self.forget(one)
        for one in ended[: max(0, len(self._by_name) - MAX_KEPT)]:
            self.forget(one)


def scope_of(run: RunContext) -> str:
    """Who may see the background commands that the run starts: its session, or it alone if it has none."""
    return run.session_key
