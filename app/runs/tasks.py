"""Builds what a run asks of its agent (prompt, conversation, models) when the run has left the queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from app.agents.fallback import ObserveFailure
from app.agents.loop import AgentTask
from app.agents.prompt import PromptFacts, build_system_prompt, local_now
from app.agents.tool_calls import AgentTools
from app.agents.workspace import Workspace
from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.errors import InvalidRequest
from app.messages import Message, with_system
from app.providers.base import ModelCall
from app.providers.registry import Candidate, ProviderRegistry
from app.runs.request import RunRequest
from app.runs.run import Run
from app.tools.base import RunContext
from app.tools.registry import Selection, ToolRegistry

CHECK_SECONDS = 0.5  # how often a workspace is checked for changes

BuildTask = Callable[[Run, Sequence[Message]], AgentTask]


class TaskBuilder:
    """`settings` gives the present settings; `observe_failure` is called with every model call that fails."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        providers: ProviderRegistry,
        tools: ToolRegistry,
        observe_failure: ObserveFailure,
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._tools = tools
        self._observe_failure = observe_failure
        self._workspaces: dict[str, Workspace] = {}

    def check(self, request: RunRequest, agent: AgentSettings) -> None:
        """Raise InvalidRequest if the run cannot be accepted: there is no such model, no tool is left of
        those that are allowed, or one of the caller's tools has the name of the agent's own.
        """
        candidates = self._candidates(request, agent)
        own = self._tools.check(selection(request, agent, candidates)).tools
        for spec in request.tools:
            if spec.name in own:
                raise InvalidRequest(
                    f"`tools` has {spec.name[:80]!r}, which is the name of one of the agent's own tools. "
                    "Give it another name.",
                    param="tools",
                )

    def build(self, run: Run, messages: Sequence[Message]) -> AgentTask:
        request, agent = run.request, run.agent
        candidates = self._candidates(request, agent)
        chosen = selection(request, agent, candidates)
        own = self._tools.select(chosen)
        tools = tuple(own.tools.values())
        facts = PromptFacts(agent=agent, tools=tools, files=self._files(agent), now=local_now(agent))
        system = build_system_prompt(facts, request.instructions)
        call = ModelCall(
            model="",  # each candidate's own
            messages=with_system(system, messages),
            params={**agent.params, **request.params},
            tools=(*request.tools, *own.specs) if own.specs else request.tools,
            tool_choice=request.tool_choice,
            request_id=request.request_id,
        )
        agent_tools = self._agent_tools(run, chosen) if tools else None
        return AgentTask(candidates, call, self._observe_failure, agent_tools, agent.max_turns)

    def _agent_tools(self, run: Run, chosen: Selection) -> AgentTools:
        request = run.request
        context = RunContext(
            settings=self._settings,
            agent_id=run.agent.id,
            session_key=run.session_key,
            is_stored=not request.route.stateless,
            run_id=run.id,
            source=request.source,
            principal=request.principal,
            cancel=run.cancel,
            publish=run.publish,
            pause=run.pause,
            approvals=request.approvals,
            spawn_depth=request.spawn_depth,
            request_id=request.request_id,
        )
        names = frozenset(spec.name for spec in request.tools)
        return AgentTools(context, partial(self._tools.find, chosen), names)

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


def selection(request: RunRequest, agent: AgentSettings, candidates: Sequence[Candidate]) -> Selection:
    """Which tools the run is to have."""
    return Selection(agent.id, candidates[0].name, request.source, request.spawn_depth)
