"""Messages, tools and token counts, free of any wire format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, NamedTuple, overload

import msgspec
import orjson

from app.json_values import MAX_CERTAIN_DEPTH, can_be_written

_role = attrgetter("role")

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image as base64 text, as models are sent it, with its media type (`image/png`)."""

    mime: str
    data: str

    @property
    def data_uri(self) -> str:
        return f"data:{self.mime};base64,{self.data}"


# What a message holds: plain text, or parts in their order when an image is among them.
Content = str | tuple[TextPart | ImagePart, ...]


def json_size(value: object) -> int | None:
    """How many bytes the value takes as JSON; None if it cannot be JSON (too deep, too large a number)."""
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:
        return None
    if written.count(b"[") + written.count(b"{") > MAX_CERTAIN_DEPTH and not can_be_written(value):
        return None
    return len(written)


class Extra(msgspec.Struct, frozen=True):
    """What a provider wants back together with its model's tool calls: signatures, reasoning.

    Nobody else understands it, so it is kept as it came, and sent to `provider` alone. That is None if a
    caller has resent it without saying whose it is: then it is for the provider that is asked.
    """

    fields: dict[str, Any]
    provider: str | None = None

    def for_provider(self, name: str) -> Mapping[str, Any]:
        """The fields to send to the provider of that name."""
        return self.fields if self.provider in (name, None) else {}


# The names of such fields on the wire: of a call (Gemini's thought signatures; LiteLLM has its own name for
# them), and of the assistant's message beside its calls (DeepSeek, Kimi, GLM; OpenRouter; LiteLLM).
CALL_EXTRAS = ("extra_content", "provider_specific_fields")
MESSAGE_EXTRAS = ("reasoning_content", "reasoning_details", "thinking_blocks")
EXTRA_PROVIDER = "x_openclaw_provider"  # stands beside them where a caller has them


class ToolCall(msgspec.Struct, frozen=True):
    """A call the model asks for. `arguments` is JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str
    extra: Extra | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A function the model may call. `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class Message(NamedTuple):
    """One message of a conversation. `refusal`: what the model said in place of an answer it refused.

    A named tuple because a request may hold thousands of them: it is made four times as fast as a frozen
    dataclass.
    """

    role: Role
    content: Content = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None
    extra: Extra | None = None

    @property
    def text(self) -> str:
        """All text of the message; parts are joined with newlines (docs/http.md#the-request)."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def images(self) -> tuple[ImagePart, ...]:
        if isinstance(self.content, str):
            return ()
        return tuple(part for part in self.content if isinstance(part, ImagePart))


class PlainMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A message of text alone as it is on the wire, and nothing else. Decoding checks it."""

    role: Literal["system", "user", "assistant"]
    content: str


class PlainMessages(Sequence[Message]):
    """A conversation of text alone, kept as it came and as it goes to a model.

    A chat client resends everything, and mostly all of it only passes through: a `Message` is made when
    somebody looks at one.
    """

    def __init__(self, wire: list[PlainMessage], roles: list[str] | None = None) -> None:
        """`roles` are those of `wire`, if somebody has looked at them already."""
        self.wire = wire
        self.roles = [*map(_role, wire)] if roles is None else roles

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> PlainMessages: ...
    def __getitem__(self, index: int | slice) -> Message | PlainMessages:
        if isinstance(index, slice):
            return PlainMessages(self.wire[index])
        return _message(self.wire[index])

    def __iter__(self) -> Iterator[Message]:
        return map(_message, self.wire)

    def __len__(self) -> int:
        return len(self.wire)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def _message(plain: PlainMessage) -> Message:
    return Message(plain.role, plain.content)


def with_system(system: str | None, messages: Sequence[Message]) -> Sequence[Message]:
    """The conversation with a system message in front, if there is one."""
    if not system:
        return messages
    if isinstance(messages, PlainMessages):
        roles = ["system", *messages.roles]
        return PlainMessages([PlainMessage("system", system), *messages.wire], roles)
    return (Message("system", system), *messages)


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one or more model calls. `estimated`: none were reported, so they were guessed."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.estimated or other.estimated,
        )
