"""`agents_list`: which agents may be started as sub-agents."""

from __future__ import annotations

from app.tools.base import Invocation, Tool, ToolOutput, define_tool
from app.tools.parameters import Parameters
from app.tools.sessions.allowed_agents import allowed_agents, allows_any
from app.tools.sessions.host import SessionHost
from app.tools.sessions.rows import as_json


class AgentsList(Parameters):
    pass


class AgentsListTool:
    def __init__(self, host: SessionHost) -> None:
        self._host = host

    def tool(self) -> Tool:
        return define_tool(
            "agents_list",
            "List the agents that `sessions_spawn` may start.",
            AgentsList,
            self._list,
            summary="list the agents that you may start",
            is_parallel=True,
            only_reads=True,
        )

    def _list(self, call: Invocation, _: AgentsList) -> ToolOutput:
        agent, settings = call.run.agent, call.run.settings()
        agents = [
            {
                "id": one,
                "name": known.name if known else None,
                "configured": known is not None,
                "model": self._host.model_of(one),
                "agentRuntime": "gateway",
            }
            for one in allowed_agents(agent, settings)
            for known in [settings.agent(one)]
        ]
        return as_json({"requester": agent.id, "allowAny": allows_any(agent), "agents": agents})
