"""The tools that read sessions, and those that start runs themselves."""

from __future__ import annotations

from app.config.settings import Settings
from app.control.agent_runs import AgentRuns
from app.control.subagents import Subagents
from app.gateway import Gateway
from app.tools.builtin.agents_list import AgentsListTool
from app.tools.builtin.session_status import SessionStatusTool
from app.tools.builtin.sessions_history import SessionsHistoryTool
from app.tools.builtin.sessions_list import SessionsListTool
from app.tools.builtin.sessions_search import SessionsSearchTool
from app.tools.builtin.sessions_send import SessionsSendTool
from app.tools.builtin.sessions_spawn import SessionsSpawnTool
from app.tools.builtin.sessions_yield import SessionsYieldTool
from app.tools.builtin.subagents import SubagentsTool
from app.tools.sessions.text import SafeTexts


def add_run_tools(gateway: Gateway) -> Gateway:
    """The gateway, with the tools that read sessions, and those that start runs themselves."""
    runs, store = gateway.runs, gateway.store

    def settings() -> Settings:
        return gateway.settings

    agent_runs = AgentRuns(gateway.all_runs, gateway.intake, gateway.models)
    subagents = Subagents(runs, agent_runs, store.index)
    texts = SafeTexts(settings)
    for one in (
        SessionStatusTool(store, agent_runs),
        SessionsListTool(settings, store, agent_runs, texts),
        SessionsHistoryTool(store, texts),
        SessionsSearchTool(store, texts),
        SessionsSendTool(store, agent_runs),
        SessionsSpawnTool(subagents),
        SubagentsTool(subagents),
        SessionsYieldTool(subagents, agent_runs),
        AgentsListTool(agent_runs),
    ):
        gateway.tools.registry.add(one.tool())
    return gateway
