"""`sessions_yield`: waits for a sub-agent's result, or for a message."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from app.tools.base import Invocation, Tool, ToolOutput, define_tool
from app.tools.builtin.subagents import dump_child
from app.tools.parameters import Parameters
from app.tools.sessions.host import Activity, Subagents
from app.tools.sessions.rows import as_json

MAX_WAIT = 300.0  # seconds
MESSAGE_WAITS = "Somebody has written in this conversation: end your turn to get the message."


class SessionsYield(Parameters):
    wait_for: (
        Annotated[Literal["message"], Meta(description="Also wait if no sub-agent is at work.")] | None
    ) = None
    message: str | None = None
    acknowledgment: str | None = None


class SessionsYieldTool:
    def __init__(self, subagents: Subagents, activity: Activity) -> None:
        self._subagents, self._activity = subagents, activity

    def tool(self) -> Tool:
        return define_tool(
            "sessions_yield",
            "Wait until one of your sub-agents has a result, or somebody writes: at most five minutes.",
            SessionsYield,
            self._wait,
            summary="wait for a sub-agent's result or a message",
            seconds=None,
            max_chars=200_000,
        )

    def _wait(self, call: Invocation, given: SessionsYield) -> ToolOutput:
        run = call.run

        def is_over() -> bool:
            if self._activity.has_message(run):
                return True
            return given.wait_for is None and not any(
                one.state == "running" for one in self._subagents.of(run)
            )

        found = self._subagents.wait_for_news(run, MAX_WAIT, call.cancel, is_over)
        running = sum(one.state == "running" for one in self._subagents.of(run))
        answer: dict[str, Any] = {
            "results": [dump_child(one, whole=True) for one in found],
            "running": running,
        }
        if self._activity.has_message(run):
            answer["note"] = MESSAGE_WAITS
        elif not found:
            answer["note"] = "Nothing has come." if running else "No sub-agent is at work."
        return as_json({"status": "ok", **answer}, "sub-agents" if found else None)
