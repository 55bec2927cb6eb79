"""Which agents an agent may start (`agents.*.subagents.allowAgents`). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.config.agent_settings import AgentSettings
from app.config.settings import Settings

ANY_AGENT = "*"


def allows_any(agent: AgentSettings) -> bool:
    return ANY_AGENT in agent.subagents.allow_agents


def allowed_agents(agent: AgentSettings, settings: Settings) -> Sequence[str]:
    """The ids of those that it may start: by default itself alone."""
    if allows_any(agent):
        return [one.id for one in settings.agents]
    return [one.strip().lower() for one in agent.subagents.allow_agents] or [agent.id]
