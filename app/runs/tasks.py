"""Builds what a run asks of its agent (prompt, conversation, models) when the run has left the queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.agents.fallback import ObserveFailure
from app.agents.loop import AgentTask
from app.agents.prompt import build_system_prompt
from app.agents.workspace import Workspace
from app.config.settings import AgentSettings
from app.messages import Message, with_system
from app.providers.base import ModelCall
from app.providers.registry import Candidate, ProviderRegistry
from app.runs.request import RunRequest
from app.runs.run import Run

CHECK_SECONDS = 0.5  # how often a workspace is checked for changes

BuildTask = Callable[[Run, Sequence[Message]], AgentTask]


class TaskBuilder:
    """`observe_failure` is called with every model call that fails."""

    def __init__(self, providers: ProviderRegistry, observe_failure: ObserveFailure) -> None:
        self._providers = providers
        self._observe_failure = observe_failure
        self._workspaces: dict[str, Workspace] = {}

    def check(self, request: RunRequest, agent: AgentSettings) -> None:
        """Raise InvalidRequest if there is no such model, before the run is accepted."""
        self._candidates(request, agent)

    def build(self, run: Run, messages: Sequence[Message]) -> AgentTask:
        request, agent = run.request, run.agent
        system = build_system_prompt(agent.system_prompt, self._files(agent), request.instructions)
        call = ModelCall(
            model="",  # each candidate's own
            messages=with_system(system, messages),
            params={**agent.params, **request.params},
            tools=request.tools,
            tool_choice=request.tool_choice,
            request_id=request.request_id,
        )
        return AgentTask(self._candidates(request, agent), call, self._observe_failure)

    def _candidates(self, request: RunRequest, agent: AgentSettings) -> list[Candidate]:
        if request.model is not None:
            names = [request.model]
        else:
            names = [agent.model or self._providers.default_model()[0], *agent.fallbacks]
        return [self._providers.resolve(name) for name in names]

    def _files(self, agent: AgentSettings) -> list[tuple[str, str]]:
        if agent.workspace is None:
            return []
        key = str(agent.workspace)
        if key not in self._workspaces:
            self._workspaces[key] = Workspace(agent.workspace, CHECK_SECONDS)
        return self._workspaces[key].files()
