"""What happens in a run, in the order it happens: the only output a run has.

A run starts with `RunStarted` and ends with exactly one of `RunFinished`, `RunFailed`. Providers speak in
`TextDelta`, `ReasoningDelta`, `ToolCallDelta` and end each model call with `ModelFinished`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from app.errors import GatewayError
from app.messages import ToolCall, Usage

NO_USAGE = Usage()

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class RunStarted(msgspec.Struct, frozen=True):
    run_id: str
    agent_id: str
    session_key: str
    started_at: float  # seconds since 1970


class TextDelta(msgspec.Struct, frozen=True):
    """A piece of the answer. All pieces in order are the answer, byte for byte."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """A piece of the model's thinking; never part of the answer."""

    text: str


class ToolCallDelta(msgspec.Struct, frozen=True):
    """A fragment of a tool call: `id` and `name` come with the first one of an `index`."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class ToolCalled(msgspec.Struct, frozen=True):
    """The agent calls one of its own tools."""

    call: ToolCall


class ToolReturned(msgspec.Struct, frozen=True):
    """One of the agent's own tools has answered, or failed (`is_error`)."""

    call_id: str
    name: str
    text: str
    is_error: bool = False


class ModelFinished(msgspec.Struct, frozen=True):
    """One model call ended as the model wished. `usage` is None if the provider told nothing."""

    reason: FinishReason
    usage: Usage | None = None
    model: str | None = None  # "provider/model" that really answered


class RunFinished(msgspec.Struct, frozen=True):
    """The answer is complete, and stored if its session is."""

    reason: FinishReason
    usage: Usage
    tool_calls: tuple[ToolCall, ...] = ()


class RunFailed(msgspec.Struct, frozen=True):
    """The run ended without a complete answer: a fault, or somebody stopped it (`aborted`)."""

    error: GatewayError
    aborted: bool = False
    usage: Usage = NO_USAGE


ModelEvent = TextDelta | ReasoningDelta | ToolCallDelta | ModelFinished
Event = (
    RunStarted
    | TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | ToolCalled
    | ToolReturned
    | ModelFinished
    | RunFinished
    | RunFailed
)
