"""The system prompt: who and where the agent is, what it can do, what its workspace says. Pure.

Its sections stand in a fixed order, each only when it has something to say. What changes from day to day
comes after what does not, so that providers can reuse what they have read (prompt caching).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from app.config.agent_settings import AgentSettings
from app.tools.base import Tool


class PromptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`files` are the workspace's: (name, text). `now` is the time in the agent's time zone."""

    agent: AgentSettings
    tools: Sequence[Tool]
    files: Sequence[tuple[str, str]]
    now: datetime


def local_now(agent: AgentSettings) -> datetime:
    """The present time in the agent's time zone, else in the machine's."""
    if agent.user_timezone:
        return datetime.now(ZoneInfo(agent.user_timezone))
    return datetime.now().astimezone()


def build_system_prompt(facts: PromptFacts, instructions: str | None) -> str | None:
    """The prompt, with the request's instructions last. None when it would be empty."""
    own = facts.agent.system_prompt
    parts = [_identity(facts.agent), own.text, _tools(facts.tools)] if own.mode == "append" else [own.text]
    parts += [f"# {name}\n\n{text.strip()}" for name, text in facts.files if text.strip()]
    parts = [part.strip() for part in parts if part.strip()]
    if instructions and instructions.strip():
        parts.append(instructions)
    return "\n\n".join(parts) or None


def _identity(agent: AgentSettings) -> str:
    name = agent.identity.name or agent.name or agent.id
    return f"You are {name}, an agent of an OpenClaw gateway."


def _tools(tools: Sequence[Tool]) -> str:
    if not tools:
        return ""
    return "# Tools\n\n" + "\n".join(f"- {tool.name}: {tool.summary}" for tool in tools)
