"""What a run needs, already validated: made by `app/runs/intake.py` from a caller's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from app.auth.principal import LOCAL_OPERATOR, Principal
from app.ids import RUN_PREFIX
from app.messages import Message, ToolSpec
from app.routing.resolve import Route
from app.sessions.stored import RunKey
from app.tools.base import ApprovalMode

Source = Literal["http", "ws", "cli", "agent"]
OnDisconnect = Literal["abort", "continue"]


class RunRequest(msgspec.Struct, frozen=True):
    """`messages` is the conversation without system messages; those are joined in `instructions`.

    `params`, `tools` and `tool_choice` are as in `app.providers.base.ModelCall`. `model` replaces the agent's
    model. `run_id` is given by transports whose callers choose it; else one is generated that begins with
    `id_prefix`. `starter` is the id of the connection that asks. `log_finish`: whether the end of a run that
    finished gets a log line of its own; a transport that logs it together with its answer says no.

    `approvals` is what the caller wants done with calls that need an approval. `spawn_depth` is 0, or for a
    run that an agent has started, one more than that agent's own; its `source` is `agent`, and its `surface`
    that of the agent's run: where all of it was asked for. `verbose` and `reasoning` are the session's
    settings `verboseLevel` and `reasoningLevel`, None if it has none.

    `key` is the caller's key for this request; such a run is durable.

    `durable`: the run is stored although its route is stateless, because somebody may come back for it.
    `streams`: the caller gets the answer as it comes, not as a whole.
    `on_disconnect` says what happens when the last of those who wait for the run has left (`Run.followed`).
    """

    route: Route
    messages: Sequence[Message]
    source: Source
    instructions: str | None = None
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | None = None
    model: str | None = None
    principal: Principal = LOCAL_OPERATOR
    request_id: str | None = None
    run_id: str | None = None
    id_prefix: str = RUN_PREFIX
    timeout_seconds: float | None = None  # less than the agent's own, if given
    starter: str | None = None
    log_finish: bool = True
    approvals: ApprovalMode | None = None
    spawn_depth: int = 0
    surface: str | None = None  # None: the source
    verbose: str | None = None
    reasoning: str | None = None
    durable: bool = False
    on_disconnect: OnDisconnect = "continue"
    key: RunKey | None = None
    streams: bool = False

    @property
    def is_stored(self) -> bool:
        return self.durable or not self.route.stateless
