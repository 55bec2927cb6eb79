"""What a provider is to the agent loop: one method that streams an answer.

The providers are sibling files and packages; `app/bootstrap.py` alone chooses among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from app.cancel import Cancel
from app.events.types import ModelEvent
from app.messages import Message, ToolSpec

# What `ModelCall.params` may have, besides `max_tokens`.
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
    """One request to one model.

    `params` has OpenAI's names (`temperature`, `max_tokens`, `stop`…), already validated; a provider passes
    on those that it supports and leaves out the others. `tool_choice` is `"none"`, `"auto"`, `"required"` or
    `"function:"` followed by the name of one of `tools`. `request_id` is sent along, for the provider's logs.
    """

    model: str  # the provider's own name of the model, without `provider/`
    messages: Sequence[Message]
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | None = None
    request_id: str | None = None

    def to(self, model: str) -> ModelCall:
        """The same request to another model."""
        return ModelCall(model, self.messages, self.params, self.tools, self.tool_choice, self.request_id)


class Provider(Protocol):
    """Serves models. `name` is the first part of `provider/model`."""

    name: str

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]:
        """The answer: deltas as they arrive, `ModelFinished` last.

        Raises ProviderError, InvalidRequest if the provider refuses the request as the caller's mistake, and
        the error of `cancel` soon after that is called. However it ends, also when the iterator is closed
        early, it leaves no connection in use.
        """
        ...

    def close(self) -> None:
        """Close connections and end processes. Called once, when the gateway stops."""
