"""Builds what a run asks of its agent (prompt, conversation, models) when the run has left the queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from app.agents.fallback import ObserveFailure
from app.agents.loop import AgentTask
from app.agents.prompt import with_instructions
from app.agents.tool_calls import AgentTools, FindTool
from app.cancel import Cancel
from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.errors import InvalidRequest
from app.messages import Message, ToolSpec, with_system
from app.providers.base import ModelCall
from app.providers.registry import ProviderRegistry
from app.runs.explain import Explanation, explain
from app.runs.plan import RunPlan
from app.runs.prompts import SystemPrompts
from app.runs.request import RunRequest
from app.runs.run import Run
from app.tools.base import RunContext
from app.tools.registry import Selection, Toolbox, ToolRegistry

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
        self.prompts = SystemPrompts()

    def plan(self, request: RunRequest, agent: AgentSettings, cancel: Cancel | None = None) -> RunPlan:
        """What the run is to have. Raises InvalidRequest if it cannot be accepted: there is no such model, no
        tool is left of those that are allowed, or the request's tools do not go with the agent's.

        Waits for servers of tools that have to be started first if there is a `cancel`, and raises its error.
        """
        plan = self._plan(request, agent, partial(self._tools.check, cancel=cancel))
        if request.tools or request.tool_choice is not None:
            check_client_tools(request, plan)
        return plan

    def explain(self, request: RunRequest, agent: AgentSettings, *, wait: bool) -> Explanation:
        """What a run would be given, and why. `wait`: for servers of tools that have to be started first.

        Raises InvalidRequest: there is no such model.
        """
        plan = self._plan(request, agent, partial(self._tools.select, wait=wait))
        return explain(plan, self._tools, self.prompts)

    def _plan(
        self, request: RunRequest, agent: AgentSettings, select: Callable[[Selection], Toolbox]
    ) -> RunPlan:
        names = [request.model] if request.model is not None else self._models(agent)
        candidates = [self._providers.resolve(name) for name in names]
        first = candidates[0]
        chosen = Selection(agent.id, first.name, request.surface or request.source, request.spawn_depth)
        toolbox = select(chosen)
        is_small = self._providers.is_small(first.provider.name)
        choice = request.tool_choice
        offers = bool(toolbox.tools)
        if choice is not None or is_small:
            offers = offers and choice != "none" and not (is_small and choice in (None, "auto"))
        return RunPlan(self._settings(), agent, candidates, chosen, toolbox, is_small, offers)

    def build(self, run: Run, messages: Sequence[Message]) -> AgentTask:
        request, plan = run.request, run.plan
        if plan.settings is not self._settings() or not plan.toolbox.is_complete:
            plan = self.plan(request, run.agent, run.cancel)
        own = plan.toolbox if plan.offers_tools else None
        has_tools = request.tool_choice != "none"
        system = with_instructions(self.prompts.prompt(plan), request.instructions)
        agent = run.agent
        call = ModelCall(
            model="",  # each candidate's own
            messages=with_system(system, messages),
            params={**agent.params, **request.params},
            tools=(*(request.tools if has_tools else ()), *(own.specs if own is not None else ())),
            tool_choice=request.tool_choice if has_tools else None,
            request_id=request.request_id,
        )
        tools = self._agent_tools(run, plan.chosen) if own is not None else None
        stops_loops = agent.tools.loop_detection.enabled
        limits = (agent.max_turns, stops_loops, run.earlier.not_made)
        return AgentTask(plan.candidates, call, self._observe_failure, tools, *limits)

    def _agent_tools(self, run: Run, chosen: Selection) -> AgentTools:
        request = run.request
        context = RunContext(
            settings=self._settings,
            agent_id=run.agent.id,
            session_key=run.session_key,
            is_stored=not request.route.stateless,
            run_id=run.id,
            source=request.source,
            surface=request.surface or request.source,
            principal=request.principal,
            cancel=run.cancel,
            publish=run.publish,
            pause=run.pause,
            at_end=run.at_end,
            approvals=request.approvals,
            spawn_depth=request.spawn_depth,
            request_id=request.request_id,
        )
        names = frozenset(spec.name for spec in request.tools)

        def find_beneath(model: str) -> FindTool:
            beneath = replace(chosen, model=model)
            return lambda name: self._tools.find(beneath, name, run.cancel)

        return AgentTools(context, find_beneath(chosen.model or ""), names, find_beneath)

    def _models(self, agent: AgentSettings) -> Sequence[str]:
        return [agent.model or self._providers.default_model()[0], *agent.fallbacks]


def check_client_tools(request: RunRequest, plan: RunPlan) -> None:
    """Raise InvalidRequest if one of the caller's tools has the name of the agent's own, or its `tool_choice`
    asks for a tool that nobody has.
    """
    own = plan.toolbox.tools
    for spec in request.tools:
        if spec.name in own:
            raise InvalidRequest(
                f"`tools` has {spec.name[:80]!r}, which is the name of one of the agent's own tools. "
                "Give it another name.",
                param="tools",
            )
    if request.tool_choice is not None and plan.toolbox.is_complete:
        _check_choice(request.tool_choice, request.tools, plan)


def _check_choice(choice: str, client_tools: Sequence[ToolSpec], plan: RunPlan) -> None:
    names = {*(spec.name for spec in client_tools), *plan.toolbox.tools}
    if not names:
        raise InvalidRequest("`tool_choice` needs `tools`.", param="tool_choice")
    _, _, name = choice.partition(":")
    if name and name not in names:
        raise InvalidRequest(
            f"`tool_choice` names {name[:80]!r}, which is neither in `tools` nor one of the agent's tools.",
            param="tool_choice",
        )
