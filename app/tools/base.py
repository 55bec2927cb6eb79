"""What a tool is to an agent: a name, a JSON schema, and a function that answers a call.

A tool is written once and knows nothing of models, transports or policies. Whether it may be used is decided
by `policy.py`, where it is offered and again where it is called; how long it may take and how much it may
say, by `call.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from app.auth.principal import Principal
from app.cancel import Cancel
from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.events.types import Event
from app.messages import ImagePart, ToolSpec
from app.tools.parameters import Parameters, load_parameters, schema_of

# What a caller of the OpenAI API wants done with a call that needs somebody's approval.
ApprovalMode = Literal["deny", "wait", "fail"]

DEFAULT_SECONDS = 120.0
MAX_CHARS = 60_000  # of a result that the model gets, unless the tool says otherwise

P = TypeVar("P", bound=Parameters)


class ToolError(Exception):
    """The call failed. The message is for the model: what is wrong, and what to do instead."""


class ToolBlocked(ToolError):
    """The call is not allowed: a policy denies it, or nobody approved it."""


class ToolOutput(msgspec.Struct, frozen=True):
    """What a call returns. The model gets `text` and `images`; `details` are for programs (JSON values)."""

    text: str
    details: Mapping[str, Any] = msgspec.field(default_factory=dict)
    images: tuple[ImagePart, ...] = ()
    is_error: bool = False


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the tools of one run may know of it.

    `settings` gives the present settings. `publish` adds an event to the run's log. `pause` stops the run's
    clock and returns the function that starts it again: while somebody is asked, the run's time does not
    pass. `at_end` keeps a function that is called when the run has ended. `spawn_depth`: 0 for a run that
    somebody asked for, 1 for one that its agent started, and so on. `surface` is the source of the run that
    somebody asked for, whichever of its agents works here.
    """

    settings: Callable[[], Settings]
    agent_id: str
    session_key: str
    is_stored: bool
    run_id: str
    source: str
    principal: Principal
    cancel: Cancel
    publish: Callable[[Event], object]
    pause: Callable[[], Callable[[], object]]
    at_end: Callable[[Callable[[], object]], object] = lambda _clean_up: None
    approvals: ApprovalMode | None = None
    spawn_depth: int = 0
    surface: str = ""
    request_id: str | None = None

    @property
    def agent(self) -> AgentSettings:
        """The agent's present settings; those of the default agent if it is no longer configured."""
        settings = self.settings()
        return settings.agent(self.agent_id) or settings.default_agent

    @property
    def workspace(self) -> Path:
        """The agent's folder; need not exist. Raises ToolError if the agent has none."""
        folder = self.agent.workspace
        if folder is None:
            raise ToolError("This agent has no workspace.")
        return folder


class Invocation(msgspec.Struct, frozen=True):
    """One call of a tool. `cancel` is the call's own: it is also set when the call's time is over.

    `update` tells those who follow the run what there is so far (the whole text, or its end).
    """

    run: RunContext
    call_id: str
    cancel: Cancel
    update: Callable[[str], object]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """`run(invocation, arguments)` returns the result. It raises ToolError, or the error of the call's
    `cancel`, soon after which it must end.

    `summary` is the tool's line in the system prompt, `spec` what the model gets. `is_parallel`: it changes
    nothing, so it may run beside other calls of its turn. `only_reads`: it changes nothing anywhere, so a
    call that was cut when its worker died may be made again. `seconds` None: it bounds its time itself.
    `absence(agent, settings)` says why an agent does not have it, None if it has.
    """

    spec: ToolSpec
    summary: str
    run: Callable[[Invocation, dict[str, Any]], ToolOutput]
    is_parallel: bool = False
    only_reads: bool = False
    seconds: float | None = DEFAULT_SECONDS
    max_chars: int = MAX_CHARS
    absence: Callable[[AgentSettings, Settings], str | None] = lambda _agent, _settings: None

    @property
    def name(self) -> str:
        return self.spec.name


def define_tool(
    name: str,
    description: str,
    parameters: type[P],
    run: Callable[[Invocation, P], ToolOutput],
    *,
    summary: str,
    **options: Any,
) -> Tool:
    """A built-in tool, whose parameters are a struct: it makes the schema and checks the arguments.

    `options` are further fields of `Tool`.
    """

    def load_and_run(invocation: Invocation, arguments: dict[str, Any]) -> ToolOutput:
        return run(invocation, load_parameters(parameters, arguments))

    spec = ToolSpec(name, description, schema_of(parameters))
    return Tool(spec=spec, summary=summary, run=load_and_run, **options)
