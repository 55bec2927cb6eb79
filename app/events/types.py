"""What happens in a run, in the order it happens: the only output a run has.

A run starts with `RunStarted` and ends with exactly one of `RunFinished`, `RunFailed`. Providers yield
`TextDelta`, `ReasoningDelta`, `RefusalDelta`, `ToolCallDelta`, `ExtraDelta` and end each model call with
`ModelFinished`.

Deltas are not tracked by the garbage collector (`gc=False`): a run may have a hundred thousand of them, and
as they hold nothing but text they cannot be in a cycle.

Every event is plain data, tagged with its name, so that it survives a round trip through bytes (`codec.py`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from app.errors import GatewayError
from app.events.errors import error_from_code
from app.messages import Extra, ToolCall, Usage

NO_USAGE = Usage()

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class RunStarted(msgspec.Struct, frozen=True, tag="run_started"):
    """`starter` is the id of the connection that started the run, if it was a connection.

    `model` is the `provider/model` that is asked first. `verbose` and `reasoning` say how much of tools and
    of reasoning is shown in the session (docs/websocket.md#tools-at-work); None: not set.
    """

    run_id: str
    agent_id: str
    session_key: str
    started_at: float  # seconds since 1970
    starter: str | None = None
    model: str | None = None
    verbose: str | None = None
    reasoning: str | None = None


class TextDelta(msgspec.Struct, frozen=True, tag="text_delta", gc=False):
    """A piece of the answer. All pieces in order are the answer, byte for byte."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, tag="reasoning_delta", gc=False):
    """A piece of the model's reasoning; never part of the answer."""

    text: str


class RefusalDelta(msgspec.Struct, frozen=True, tag="refusal_delta", gc=False):
    """A piece of the model's refusal to answer (OpenAI's `refusal`), which comes in place of a text."""

    text: str


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call_delta", gc=False):
    """A fragment of a tool call: `id` and `name` come with the first one of an `index`."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    extra: Extra | None = None


class ExtraDelta(msgspec.Struct, frozen=True, tag="extra_delta"):
    """What the provider wants back with the message that has the tool calls. Comes before `ModelFinished`."""

    extra: Extra


class ToolCalled(msgspec.Struct, frozen=True, tag="tool_called"):
    """The agent calls one of its own tools."""

    call: ToolCall


class ToolUpdated(msgspec.Struct, frozen=True, tag="tool_updated", gc=False):
    """What a tool that is at work has so far: its output, or the end of it."""

    call_id: str
    name: str
    text: str


class ToolReturned(msgspec.Struct, frozen=True, tag="tool_returned"):
    """One of the agent's own tools has answered, or failed (`is_error`).

    `text` is what the model gets, `details` the same for programs (both bounded), `seconds` how long it took.
    """

    call_id: str
    name: str
    text: str
    is_error: bool = False
    details: dict[str, Any] = {}
    seconds: float = 0.0


class ApprovalRequested(msgspec.Struct, frozen=True, tag="approval_requested"):
    """A call waits until somebody approves it. `approval` describes it, as `approval.get` does."""

    approval_id: str
    call_id: str
    approval: dict[str, Any] = {}


class ApprovalResolved(msgspec.Struct, frozen=True, tag="approval_resolved"):
    """A call does not wait for approval any more. `decision` None: nobody decided in time."""

    approval_id: str
    call_id: str
    decision: str | None = None


class ModelFinished(msgspec.Struct, frozen=True, tag="model_finished"):
    """One model call ended as the model intended. `usage` is None if the provider reported none."""

    reason: FinishReason
    usage: Usage | None = None
    model: str | None = None  # "provider/model" that really answered


class RunFinished(msgspec.Struct, frozen=True, tag="run_finished"):
    """The answer is complete, and stored if its session is."""

    reason: FinishReason
    usage: Usage
    tool_calls: tuple[ToolCall, ...] = ()


class RunFailed(msgspec.Struct, frozen=True, tag="run_failed"):
    """The run ended without a complete answer: a fault, or somebody stopped it (`aborted`).

    `code`, `message`, `param` and `retry_after` (seconds) are those of the error.
    """

    code: str
    message: str
    param: str | None = None
    retry_after: float | None = None
    aborted: bool = False
    usage: Usage = NO_USAGE

    @classmethod
    def of(cls, error: GatewayError, *, aborted: bool = False) -> RunFailed:
        return cls(error.code, error.message, error.param, error.retry_after, aborted)

    def as_error(self) -> GatewayError:
        """The error again, for callers that raise it."""
        return error_from_code(self.code, self.message, param=self.param, retry_after=self.retry_after)


ModelEvent = TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta | ExtraDelta | ModelFinished
Event = (
    RunStarted
    | TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolCallDelta
    | ExtraDelta
    | ToolCalled
    | ToolUpdated
    | ToolReturned
    | ApprovalRequested
    | ApprovalResolved
    | ModelFinished
    | RunFinished
    | RunFailed
)
