"""What a run may start: which agents, how deep, how many, with which model. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.auth.grants import may_choose_model
from app.clock import now_ms
from app.config.agent_settings import AgentSettings
from app.control.child import ChildRun
from app.tools.base import RunContext, ToolError
from app.tools.sessions.allowed_agents import allowed_agents, allows_any
from app.tools.sessions.host import Task

MAX_REMEMBERED = 500  # sub-agents that have ended


def target_agent(run: RunContext, task: Task) -> AgentSettings:
    """The agent that is to do the task. Raises ToolError: it is too deep, or not allowed."""
    agent, settings = run.agent, run.settings()
    depth = agent.subagents.max_spawn_depth
    if run.spawn_depth + 1 > depth:
        raise ToolError(f"Sub-agents are nested no deeper than {depth} (maxSpawnDepth): do it yourself.")
    wanted = (task.agent_id or agent.id).strip().lower()
    allowed = allowed_agents(agent, settings)
    found = settings.agent(wanted)
    if found is None or not (allows_any(agent) or wanted in allowed):
        raise ToolError(f"You may not start the agent {wanted[:80]!r}. Allowed: {', '.join(allowed)}.")
    return found


def check_model_choice(run: RunContext) -> None:
    """Raise ToolError unless the run's principal may name a model."""
    if not may_choose_model(run.principal):
        raise ToolError("Whoever asked you may not choose a model: leave `model` out.")


def check_room(run: RunContext, children: Sequence[ChildRun]) -> None:
    """Raise ToolError if the run's session, or the gateway, has its most sub-agents at work."""
    bounds = run.agent.subagents
    active = [one for one in children if not one.is_over]
    own = sum(one.parent_key == run.session_key for one in active)
    if own >= bounds.max_children_per_agent:
        raise ToolError(
            f"{own} of your sub-agents are at work, and no more are allowed at a time (maxChildrenPerAgent). "
            "Wait for one with `subagents` first."
        )
    if len(active) >= bounds.max_concurrent:
        raise ToolError(
            f"{len(active)} sub-agents are at work in this gateway, and no more are allowed at a time "
            "(maxConcurrent). Try again later, or do it yourself."
        )


def forgettable(children: Sequence[ChildRun], minutes: float) -> list[ChildRun]:
    """Those whose results are delivered and `minutes` old (0: any age), and the oldest of too many."""
    before = now_ms() - int(minutes * 60_000) if minutes else 0
    ended = [one for one in children if one.is_over and (one.is_delivered or one.is_tied)]
    too_many = len(ended) - MAX_REMEMBERED
    return [one for place, one in enumerate(ended) if place < too_many or (one.ended_at or before) < before]
