"""Runs that agents ask for: by the same intake and the same service as everybody's, under the same principal.

Implements `app.tools.sessions.host.SessionHost`. Sub-agents, which such runs are too, are kept in
`subagents.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from app.auth.principal import Principal
from app.cancel import Cancel
from app.control.models import Models
from app.control.runs import AllRuns
from app.errors import RunAborted
from app.events.types import RunFailed
from app.logs.lines import log_event
from app.messages import Message
from app.routing.resolve import Route
from app.runs.intake import Intake, RunInput
from app.runs.request import RunRequest
from app.runs.run import Run
from app.tools.base import ApprovalMode, RunContext, ToolError
from app.tools.sessions.host import Reply

logger = logging.getLogger("app.agents")


class Origin(msgspec.Struct, frozen=True):
    """On whose behalf an agent's runs are made, with the rights of the run that asks for them."""

    principal: Principal
    approvals: ApprovalMode | None
    surface: str
    request_id: str | None

    @classmethod
    def of(cls, run: RunContext) -> Origin:
        return cls(run.principal, run.approvals, run.surface or run.source, run.request_id)


class AgentRuns:
    """`sessions_send`, and what tools ask of models and of what goes on."""

    def __init__(self, runs: AllRuns, intake: Intake, models: Models) -> None:
        self._runs = runs
        self._intake = intake
        self._models = models

    def model_of(self, agent_id: str, override: str | None = None) -> str:
        """The model that answers in a session of the agent; `override` was set for the session."""
        return self._models.of(agent_id, override)

    def context_tokens(self, model: str) -> int | None:
        """How many tokens it takes, if that is known."""
        known = self._models.describe(model)
        return known.context_window if known else None

    def known_model(self, name: str) -> str:
        """The model's full name. Raises InvalidRequest: there is no such model."""
        return self._models.find(name)

    def is_active(self, session_key: str) -> bool:
        """Whether the session has a run that goes on, or waits."""
        return bool(self._runs.active_sessions([session_key]))

    def has_message(self, run: RunContext) -> bool:
        """Whether another run waits in the session of `run`: somebody has written."""
        return any(one != run.run_id for one in self._runs.in_session(run.session_key))

    def send(
        self, run: RunContext, session_key: str, text: str, wait_seconds: float, cancel: Cancel
    ) -> Reply:
        """Ask the session's agent; wait for its answer, at most so long. Raises ToolError and GatewayError.

        If the caller is cancelled while it waits, so is the run that it has started.
        """
        if session_key == run.session_key:
            raise ToolError("That is this very session: a message to it would wait for you to end.")
        depth, limit = run.spawn_depth + 1, run.agent.subagents.max_spawn_depth
        if depth > limit:
            raise ToolError(f"Agents that ask agents: no deeper than {limit} (maxSpawnDepth).")
        message = f"[Message from the agent `{run.agent_id}`, session {run.session_key}]\n\n{text}"
        started = self.start(self.request(Origin.of(run), session_key, message, depth=depth))
        log_event(logger, logging.INFO, "message to a session", run_id=run.run_id, to=session_key)
        if wait_seconds <= 0:
            return Reply(started.shown_id, session_key)
        with cancel.waking(lambda: started.abort(RunAborted("The agent that had asked was stopped."))):
            started.wait(wait_seconds)
        return _reply(started)

    def request(
        self,
        origin: Origin,
        session_key: str,
        text: str,
        *,
        depth: int,
        label: str | None = None,
        model: str | None = None,
        thinking: str | None = None,
        seconds: float | None = None,
        is_stored: bool = True,
    ) -> RunRequest:
        """A run in the session of that canonical key. `model` replaces the agent's, whoever asks.

        Raises what `Intake.load` raises.
        """
        given = RunInput(
            source="agent",
            key_rules="operator",
            principal=origin.principal,
            messages=(Message("user", text),),
            session_key=session_key,
            label=label,
            thinking=thinking,
            request_id=origin.request_id,
            timeout_seconds=seconds,
            approvals=origin.approvals,
        )
        request = self._intake.load(given)
        route = request.route
        if not is_stored:
            route = Route(route.agent_id, route.session_key, "new")
        more: Mapping[str, str] = {} if model is None else {"model": model}
        return replace(request, route=route, spawn_depth=depth, surface=origin.surface, **more)

    def start(self, request: RunRequest) -> Run:
        """Raises what `RunService.start` raises."""
        return self._runs.here.start(request)


def _reply(run: Run) -> Reply:
    end = run.log.end
    if end is None:
        return Reply(run.shown_id, run.session_key)
    if isinstance(end, RunFailed):
        return Reply(run.shown_id, run.session_key, error=end.message)
    return Reply(run.shown_id, run.session_key, text=run.answer.text or run.answer.refusal or "")
