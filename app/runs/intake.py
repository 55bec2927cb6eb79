"""A caller's own words -> `RunRequest`, or a refusal. The only place where that is decided.

Every transport describes what its caller asks for as a `RunInput`, so the agent, the session, the session's
settings and what the caller may do are decided alike, whoever asks (`tests/e2e/test_intake.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from app.auth.grants import require_model_choice
from app.auth.principal import Principal
from app.config.settings import Settings
from app.ids import RUN_PREFIX
from app.messages import Message, ToolSpec
from app.routing.operator import resolve_agent_route, resolve_operator_route
from app.routing.resolve import Route, resolve_agent, resolve_session
from app.runs.idempotency import run_id_key
from app.runs.request import OnDisconnect, RunRequest, Source
from app.sessions.keys import owned_run_id
from app.sessions.stored import RunKey
from app.tools.base import ApprovalMode

# A session's `thinkingLevel` and `chat.send`'s `thinking` -> OpenAI's `reasoning_effort`. The other levels
# (`off`, `adaptive`) leave the effort to the model.
REASONING_EFFORTS: Mapping[str, str] = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}

KeyRules = Literal["caller", "operator", "agent"]


class RunInput(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks for, in its own words. Only the form of `messages`, `params` and `tools` is checked.

    `key_rules` says whose rules hold for the names of sessions: a `caller` over the OpenAI API may be one of
    many and names a session by `user` or `session_key`, else gets a new one; an `operator` may name any
    session, else means the main one; `agent` is the same for the Gateway protocol's method `agent`, where
    `agent_id` must be the session's agent. `openai_model` is the OpenAI API's `model`, which selects an
    agent. `model` is the model to use in place of the agent's, `thinking` a thinking level in place of the
    session's.

    The other fields are as in `RunRequest`.
    """

    source: Source
    key_rules: KeyRules
    principal: Principal
    messages: Sequence[Message]
    agent_id: str | None = None
    openai_model: object = None
    unknown_model: Literal["reject", "default"] = "reject"
    session_key: str | None = None
    user: object = None
    label: str | None = None
    model: str | None = None
    thinking: str | None = None
    instructions: str | None = None
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | None = None
    request_id: str | None = None
    run_id: str | None = None
    id_prefix: str = RUN_PREFIX
    timeout_seconds: float | None = None
    starter: str | None = None
    log_finish: bool = True
    approvals: ApprovalMode | None = None
    durable: bool = False
    on_disconnect: OnDisconnect = "continue"


class SessionSettings(Protocol):
    def settings_of(self, session_key: str) -> Mapping[str, Any]:
        """What was set for the session; an empty mapping for an unknown one."""


class Intake:
    """`known_model` returns a model's full name, or raises InvalidRequest if the configuration lacks it."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        sessions: SessionSettings,
        known_model: Callable[[str], str],
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._known_model = known_model

    def load(self, given: RunInput) -> RunRequest:
        """What `RunService.start` needs.

        Raises InvalidRequest and its kin (agent, session, model), Forbidden (the caller may not choose a
        model) and StorageUnavailable.
        """
        model = self._model_override(given)
        route = resolve_route(given, self._settings())
        session: Mapping[str, Any] = {}
        if not route.stateless:
            session = self._sessions.settings_of(route.session_key)
        return RunRequest(
            route=route,
            messages=given.messages,
            source=given.source,
            instructions=given.instructions,
            params=_params(given, session),
            tools=given.tools,
            tool_choice=given.tool_choice,
            model=model or session.get("model"),
            principal=given.principal,
            request_id=given.request_id,
            run_id=given.run_id and owned_run_id(given.run_id, given.principal.owner),
            key=_run_id_key(given, route),
            id_prefix=given.id_prefix,
            timeout_seconds=given.timeout_seconds,
            starter=given.starter,
            log_finish=given.log_finish,
            approvals=given.approvals,
            durable=given.durable,
            on_disconnect=given.on_disconnect,
            verbose=session.get("verboseLevel"),
            reasoning=session.get("reasoningLevel"),
        )

    def _model_override(self, given: RunInput) -> str | None:
        name = (given.model or "").strip()
        if not name:
            return None
        require_model_choice(given.principal)
        return self._known_model(name)


def resolve_route(given: RunInput, settings: Settings) -> Route:
    """The agent that answers and the session that it answers in. Raises InvalidRequest and its kin."""
    owner = given.principal.owner
    if given.key_rules == "operator":
        return resolve_operator_route(given.session_key, given.agent_id, settings, owner, given.label)
    if given.key_rules == "agent":
        return resolve_agent_route(given.session_key, given.agent_id, settings, owner, given.label)
    agent_id = resolve_agent(given.openai_model, given.agent_id, settings.agents, given.unknown_model)
    return resolve_session(agent_id, given.user, given.session_key, settings.session.main_key, owner=owner)


def _run_id_key(given: RunInput, route: Route) -> RunKey | None:
    """The key that a run's id is, if its caller has chosen it: for this question in this session."""
    if given.run_id is None:
        return None
    return run_id_key(given.run_id, given.principal.owner, route.session_key, *_asked(given.messages))


def _asked(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        yield message.text
        yield from (image.data for image in message.images)


def _params(given: RunInput, session: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request's parameters, with a reasoning effort from the thinking level if they have none."""
    level = given.thinking or session.get("thinkingLevel")
    effort = REASONING_EFFORTS.get(level) if level else None
    if effort is None or "reasoning_effort" in given.params:
        return given.params
    return {**given.params, "reasoning_effort": effort}
