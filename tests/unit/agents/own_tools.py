"""Tools of an agent for tests, made of plain functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.agents.tool_calls import AgentTools
from app.auth.principal import LOCAL_OPERATOR
from app.cancel import Cancel
from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.events.types import Event
from app.messages import ToolSpec
from app.tools.base import Invocation, RunContext, Tool, ToolOutput

SETTINGS = Settings(Path("/nowhere"), agents=(AgentSettings("main", default=True),))


def run_context(cancel: Cancel | None = None, events: list[Event] | None = None, **more: Any) -> RunContext:
    """The context of a run that nobody follows; its events are added to `events`."""
    given: dict[str, Any] = {
        "settings": lambda: SETTINGS,
        "agent_id": "main",
        "session_key": "agent:main:test",
        "is_stored": False,
        "run_id": "run_1",
        "source": "http",
        "principal": LOCAL_OPERATOR,
        "cancel": cancel or Cancel(),
        "publish": ([] if events is None else events).append,
        "pause": lambda: lambda: None,
    }
    return RunContext(**{**given, **more})


def simple_tool(name: str, answer: Callable[[dict[str, Any]], str], **options: Any) -> Tool:
    def run(_: Invocation, arguments: dict[str, Any]) -> ToolOutput:
        return ToolOutput(answer(arguments))

    return Tool(spec=ToolSpec(name, name, {"type": "object"}), summary=name, run=run, **options)


def own_tools(*, cancel: Cancel | None = None, **answers: Callable[[dict[str, Any]], str]) -> AgentTools:
    """An agent's tools by name; each is a function from the call's arguments to its text."""
    tools = {name: simple_tool(name, answer) for name, answer in answers.items()}
    return AgentTools(run_context(cancel), tools.get)
