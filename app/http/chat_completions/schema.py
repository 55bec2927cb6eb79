"""The body of a Chat Completions request -> what a run needs, or a 400 that names the field
(docs/http.md#the-request).

The envelope is a marshmallow schema. Messages are read without one (`messages.py`): a nested
schema costs milliseconds for a long conversation, in which the event loop serves nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range

from app.config.settings import ChatCompletionsSettings
from app.errors import UnsupportedValue
from app.http.chat_completions.messages import Conversation, load_conversation
from app.http.client_tools import ClientTools, load_tools, refuse_functions
from app.http.fields import Boolean, Float, Integer, invalid_field
from app.providers.base import PARAMS

MAX_STOPS = 4


class Stop(fields.Field[Any]):
    """One non-empty string, or a list of up to MAX_STOPS."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str | list[str]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(one, str) and one for one in texts):
            raise ValidationError("must be a non-empty string or a list of non-empty strings")
        if len(texts) > MAX_STOPS:
            raise ValidationError(f"may have at most {MAX_STOPS} strings")
        return value  # type: ignore[no-any-return]


class StreamOptionsSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    include_usage = Boolean("End the stream with a usage chunk.")


class ChatCompletionSchema(Schema):
    """What may be in the body. Unknown fields are ignored, as OpenAI's clients send many."""

    class Meta:
        unknown = EXCLUDE

    model = fields.Raw(allow_none=True, metadata={"description": "`openclaw`, `openclaw:<agent id>`…"})
    messages = fields.Raw(allow_none=True, metadata={"description": "The conversation."})
    stream = Boolean("Answer as server-sent events.")
    background = Boolean("Answer at once with the run's id (202), and let the run go on by itself.")
    stream_options = fields.Nested(StreamOptionsSchema, allow_none=True)
    user = fields.Raw(allow_none=True, metadata={"description": "Names a stable session."})
    max_completion_tokens = Integer(1, "Most tokens of the answer.")
    max_tokens = Integer(1, "The older name of `max_completion_tokens`.")
    temperature = Float(0, 2, "0 is the most predictable.")
    top_p = Float(0, 1, "Nucleus sampling.")
    frequency_penalty = Float(-2, 2, "Against repeating words.")
    presence_penalty = Float(-2, 2, "Against repeating topics.")
    seed = Integer(-(2**63), "Asks for the same answer again.")
    stop = Stop(allow_none=True)
    n = fields.Integer(strict=True, allow_none=True, validate=Range(min=1, max=1, error="only 1 is served"))
    response_format = fields.Dict(keys=fields.String(), allow_none=True)
    reasoning_effort = fields.String(allow_none=True, validate=Length(min=1, max=32))
    parallel_tool_calls = Boolean()
    tools = fields.Raw(allow_none=True)
    tool_choice = fields.Raw(allow_none=True)
    functions = fields.Raw(allow_none=True)
    function_call = fields.Raw(allow_none=True)


# Raw fields are checked elsewhere (messages, tools, routing); the schema only names them.
_CHECKED = frozenset(
    name for name, field in ChatCompletionSchema().fields.items() if type(field) is not fields.Raw
)
_STREAM_ONLY = frozenset(("stream",))
_NO_PARAMS = frozenset(("stream", "background", "stream_options"))
_OLD_TOOLS = frozenset(("functions", "function_call"))
_FORMATS = OneOf(("text", "json_object", "json_schema"))


class ChatRequest(msgspec.Struct, frozen=True):
    """A valid request. `model` and `user` are as they were sent: routing checks them."""

    model: object
    user: object
    conversation: Conversation
    stream: bool
    background: bool
    include_usage: bool
    params: Mapping[str, Any]
    tools: ClientTools


def load_chat_request(body: Mapping[str, Any], limits: ChatCompletionsSettings) -> ChatRequest:
    """`body` is parsed JSON. Raises InvalidRequest, or a subclass, with `param`."""
    try:
        loaded = _load_checked(body)
    except ValidationError as error:
        raise invalid_field(error.messages_dict) from error
    if not _OLD_TOOLS.isdisjoint(body):
        refuse_functions(body.get("functions"), body.get("function_call"))
    options = loaded.get("stream_options") or {}
    stream, background = bool(loaded.get("stream")), bool(loaded.get("background"))
    if stream and background:
        raise UnsupportedValue(
            "A run in the `background` has no stream. Leave `stream` out, and read its events by its id.",
            param="background",
        )
    return ChatRequest(
        model=body.get("model"),
        user=body.get("user"),
        conversation=load_conversation(body.get("messages"), limits),
        stream=stream,
        background=background,
        include_usage=bool(options.get("include_usage")),
        params=_params(loaded),
        tools=load_tools(body.get("tools"), body.get("tool_choice")),
    )


def _load_checked(body: Mapping[str, Any]) -> Mapping[str, Any]:
    given = _CHECKED.intersection(body)
    if given <= _STREAM_ONLY and isinstance(body.get("stream", False), bool):
        return {name: body[name] for name in given}  # most bodies: nothing that needs the schema
    loaded: dict[str, Any] = _schema_of(given).load(body)
    return loaded


@lru_cache(maxsize=256)
def _schema_of(fields: frozenset[str]) -> Schema:
    """The part of the schema for a body with these fields: marshmallow spends time on absent ones, too."""
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
