"""The seam between the agent loop and whoever serves a model: one small method.

Variants are sibling files; `app/bootstrap.py` alone picks among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from app.cancel import Cancel
from app.events.types import ModelEvent
from app.messages import Message, ToolSpec

# What `ModelCall.params` may hold, besides `max_tokens`.
PARAMS = (
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "response_format",
    "reasoning_effort",
    "parallel_tool_calls",
)


class ModelCall(msgspec.Struct, frozen=True):
    """One question to one model.

    `params` has OpenAI's names (`temperature`, `max_tokens`, `stop`…), already validated; a provider
    sends on those it has and leaves out the others. `tool_choice` is `"none"`, `"auto"`, `"required"` or
    the name of one of `tools` behind `"function:"`.
    """

    model: str  # the provider's own name of the model, without the provider in front
    messages: Sequence[Message]
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | None = None
    request_id: str | None = None

    def to(self, model: str) -> ModelCall:
        """The same question to `model`."""
        return ModelCall(model, self.messages, self.params, self.tools, self.tool_choice, self.request_id)


class Provider(Protocol):
    """Serves models.

    `stream` yields deltas as they arrive and `ModelFinished` last. It raises `ProviderError` (or
    `InvalidRequest` for what the provider refuses as the caller's mistake), ends within moments of
    `cancel`, and leaves nothing open behind it however it ends.
    """

    name: str

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]: ...

    def close(self) -> None:
        """Give back connections and processes. Called once, when the gateway ends."""
