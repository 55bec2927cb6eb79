"""The part of the settings that concerns agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.config.tool_settings import SubagentSettings, ToolSettings


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    name: str | None = None
    emoji: str | None = None
    avatar: str | None = None


@dataclass(frozen=True, slots=True)
class SystemPromptSettings:
    """`mode` replace: `text` is all of the system prompt that the gateway does not get from the request."""

    text: str = ""
    mode: Literal["append", "replace"] = "append"


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """One agent, with `agents.defaults` merged in. `model` None: the gateway's default model.

    `params` has OpenAI's names (`temperature`, `max_tokens`, `top_p`…).
    """

    id: str
    default: bool = False
    name: str | None = None
    identity: AgentIdentity = AgentIdentity()
    workspace: Path | None = None
    model: str | None = None
    fallbacks: tuple[str, ...] = ()
    system_prompt: SystemPromptSettings = SystemPromptSettings()
    params: Mapping[str, Any] = field(default_factory=dict)
    tools: ToolSettings = field(default_factory=ToolSettings)
    subagents: SubagentSettings = field(default_factory=SubagentSettings)
    user_timezone: str | None = None
    verbose_default: str = "off"
    reasoning_default: str = "off"
    timeout_seconds: float = 600.0
    max_turns: int = 50
    max_concurrent: int | None = None
