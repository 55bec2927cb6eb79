"""The body of a Chat Completions request -> what a run needs, or a 400 that names the field.

The envelope is a marshmallow schema. Messages are read by hand (`messages.py`): a nested
schema costs milliseconds for a long conversation, and the request waits on the hub for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range

from app.config.settings import ChatCompletionsSettings
from app.errors import InvalidRequest, UnsupportedValue
from app.http.chat_completions.messages import Conversation, load_conversation
from app.http.client_tools import ClientTools, load_tools
from app.providers.base import PARAMS

MAX_STOPS = 4


class Flag(fields.Field[bool]):
    """A JSON boolean: marshmallow's own takes "yes" and 1 for true."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class Real(fields.Field[float]):
    """A JSON number: marshmallow's own takes strings of digits."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValidationError("must be a number")
        return value


class Stop(fields.Field[Any]):
    """One non-empty string, or up to four."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str | list[str]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(one, str) and one for one in texts):
            raise ValidationError("must be a non-empty string or a list of non-empty strings")
        if len(texts) > MAX_STOPS:
            raise ValidationError(f"may have at most {MAX_STOPS} strings")
        return value  # type: ignore[no-any-return]


def _number(low: float, high: float, doc: str) -> Real:
    return Real(allow_none=True, validate=Range(min=low, max=high), metadata={"description": doc})


def _whole(low: int, doc: str) -> fields.Integer:
    """What a program in any language can hold: a provider fails on more."""
    limits = Range(min=low, max=2**63 - 1)
    return fields.Integer(strict=True, allow_none=True, validate=limits, metadata={"description": doc})


class StreamOptionsSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    include_usage = Flag(allow_none=True, metadata={"description": "End the stream with a usage chunk."})


class ChatCompletionSchema(Schema):
    """What may be in the body. Unknown fields are ignored, as OpenAI's clients send many."""

    class Meta:
        unknown = EXCLUDE

    model = fields.Raw(allow_none=True, metadata={"description": "`openclaw`, `openclaw:<agent id>`…"})
    messages = fields.Raw(allow_none=True, metadata={"description": "The conversation."})
    stream = Flag(allow_none=True, metadata={"description": "Answer as server-sent events."})
    stream_options = fields.Nested(StreamOptionsSchema, allow_none=True)
    user = fields.Raw(allow_none=True, metadata={"description": "Names a stable session."})
    max_completion_tokens = _whole(1, "Most tokens of the answer.")
    max_tokens = _whole(1, "The older name of `max_completion_tokens`.")
    temperature = _number(0, 2, "0 is the most predictable.")
    top_p = _number(0, 1, "Nucleus sampling.")
    frequency_penalty = _number(-2, 2, "Against repeating words.")
    presence_penalty = _number(-2, 2, "Against repeating topics.")
    seed = _whole(-(2**63), "Asks for the same answer again.")
    stop = Stop(allow_none=True)
    n = fields.Integer(strict=True, allow_none=True, validate=Range(min=1, max=1, error="only 1 is served"))
    response_format = fields.Dict(keys=fields.String(), allow_none=True)
    reasoning_effort = fields.String(allow_none=True, validate=Length(min=1, max=32))
    parallel_tool_calls = Flag(allow_none=True)
    tools = fields.Raw(allow_none=True)
    tool_choice = fields.Raw(allow_none=True)


# Raw fields are judged elsewhere: the schema only names them.
_CHECKED = frozenset(
    name for name, field in ChatCompletionSchema().fields.items() if type(field) is not fields.Raw
)
_STREAM_ALONE = frozenset(("stream",))
_NO_PARAMS = frozenset(("stream", "stream_options"))
_FORMATS = OneOf(("text", "json_object", "json_schema"))


class ChatRequest(msgspec.Struct, frozen=True):
    """A request that is fit to be run. `model` and `user` are judged by routing."""

    model: object
    user: object
    conversation: Conversation
    stream: bool
    include_usage: bool
    params: Mapping[str, Any]
    tools: ClientTools


def load_chat_request(body: Mapping[str, Any], limits: ChatCompletionsSettings) -> ChatRequest:
    """Raises InvalidRequest and its kin, with `param`, for anything that cannot be run."""
    try:
        loaded = _load_checked(body)
    except ValidationError as error:
        raise _invalid(error.messages_dict) from error
    options = loaded.get("stream_options") or {}
    return ChatRequest(
        model=body.get("model"),
        user=body.get("user"),
        conversation=load_conversation(body.get("messages"), limits),
        stream=bool(loaded.get("stream")),
        include_usage=bool(options.get("include_usage")),
        params=_params(loaded),
        tools=load_tools(body.get("tools"), body.get("tool_choice")),
    )


def _load_checked(body: Mapping[str, Any]) -> Mapping[str, Any]:
    given = _CHECKED.intersection(body)
    if given <= _STREAM_ALONE and isinstance(body.get("stream", False), bool):
        return {name: body[name] for name in given}  # most bodies: nothing to ask a schema about
    loaded: dict[str, Any] = _schema_of(given).load(body)
    return loaded


@lru_cache(maxsize=256)
def _schema_of(fields: frozenset[str]) -> Schema:
    """The schema's part for a body with these fields: marshmallow asks after each of all that it knows."""
    return ChatCompletionSchema(only=fields)


def _params(loaded: Mapping[str, Any]) -> dict[str, Any]:
    if loaded.keys() <= _NO_PARAMS:
        return {}
    params = {name: loaded[name] for name in PARAMS if loaded.get(name) is not None}
    limit = loaded.get("max_completion_tokens") or loaded.get("max_tokens")
    if limit is not None:
        params["max_tokens"] = limit
    if params.get("stop") == []:
        del params["stop"]
    if "response_format" in params:
        _check_format(params["response_format"])
    return params


def _check_format(wanted: Mapping[str, Any]) -> None:
    try:
        _FORMATS(wanted.get("type"))
    except ValidationError as error:
        raise UnsupportedValue(
            "`response_format.type` must be one of: text, json_object, json_schema.",
            param="response_format",
        ) from error


def _invalid(messages: Mapping[str, Any]) -> InvalidRequest:
    """The first mistake marshmallow found, as a sentence with its path."""
    path: list[str] = []
    trouble: Any = messages
    while isinstance(trouble, Mapping):
        name, trouble = next(iter(trouble.items()))
        if name != "_schema":
            path.append(str(name))
    text = str(trouble[0] if isinstance(trouble, list) and trouble else trouble).rstrip(".")
    param = ".".join(path)
    return UnsupportedValue(f"`{param}`: {text[:1].lower()}{text[1:]}.", param=param)
