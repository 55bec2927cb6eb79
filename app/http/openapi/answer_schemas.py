"""Schemas of answers, for the OpenAPI document only.

Answers are built without them; tests/unit/http/openapi compares the two.
"""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import Equal, Length, OneOf, Range

from app.http.errors import HTTP_ERRORS
from app.http.openapi.event_schemas import RunEvent, RunEvents
from app.http.openapi.message_schemas import WANTED_BACK, WHOSE, ToolCall, ref

REASONS = ("stop", "length", "tool_calls", "content_filter")


def count(doc: str | None = None) -> fields.Integer:
    metadata = {"description": doc} if doc else {}
    return fields.Integer(required=True, validate=Range(min=0), metadata=metadata)


def literal(value: str) -> fields.String:
    """A required string that is always `value`."""
    return fields.String(required=True, validate=Equal(value))


def text(doc: str) -> fields.String:
    return fields.String(required=True, metadata={"description": doc})


class ErrorDetail(Schema):
    message = text("What is wrong and what to do about it.")
    type = fields.String(required=True, validate=OneOf(sorted({one.type for one in HTTP_ERRORS.values()})))
    param = fields.String(
        required=True, allow_none=True, metadata={"description": "The field or header that is wrong."}
    )
    code = fields.String(
        required=True,
        allow_none=True,
        validate=OneOf(sorted({one.code for one in HTTP_ERRORS.values() if one.code})),
        metadata={"description": "For programs. Null where the status says it all."},
    )


class Error(Schema):
    error = fields.Nested(ErrorDetail, required=True)


class PromptDetails(Schema):
    cached_tokens = count()


class CompletionDetails(Schema):
    reasoning_tokens = count()


class Usage(Schema):
    prompt_tokens = count()
    completion_tokens = count()
    total_tokens = count()
    prompt_tokens_details = fields.Nested(PromptDetails, required=True)
    completion_tokens_details = fields.Nested(CompletionDetails, required=True)


class Answer(Schema):
    role = literal("assistant")
    content = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Null only beside `tool_calls` or a `refusal`."},
    )
    refusal = fields.String(metadata={"description": "What the model said in place of an answer."})
    tool_calls = fields.List(fields.Nested(ToolCall), validate=Length(min=1))
    reasoning_content = fields.Raw(metadata={"description": WANTED_BACK})
    reasoning_details = fields.Raw(metadata={"description": WANTED_BACK})
    x_openclaw_provider = fields.Raw(metadata={"description": WHOSE})


class Choice(Schema):
    index = fields.Integer(required=True, validate=Equal(0))
    message = fields.Nested(Answer, required=True)
    finish_reason = fields.String(required=True, validate=OneOf(REASONS))
    logprobs = fields.Raw(required=True, metadata={"type": "null"})


class ChatCompletion(Schema):
    id = text("Also the id of the run.")
    object = literal("chat.completion")
    created = count("Seconds since 1970.")
    model = text("The request's `model` as it was written.")
    choices = fields.List(fields.Nested(Choice), required=True, validate=Length(equal=1))
    usage = fields.Nested(Usage, required=True)
    openclaw = fields.Nested(RunEvents)


class ToolCallFunctionDelta(Schema):
    name = fields.String()
    arguments = fields.String()


class ToolCallDelta(Schema):
    index = count("Which call the piece belongs to.")
    id = fields.String(metadata={"description": "With the first piece of a call."})
    type = fields.String(validate=Equal("function"))
    function = fields.Nested(ToolCallFunctionDelta, required=True)
    extra_content = fields.Raw(metadata={"description": WANTED_BACK})
    provider_specific_fields = fields.Raw(metadata={"description": WANTED_BACK})
    x_openclaw_provider = fields.Raw(metadata={"description": WHOSE})


class Delta(Schema):
    role = fields.String(validate=Equal("assistant"))
    content = fields.String()
    refusal = fields.String()
    tool_calls = fields.List(fields.Nested(ToolCallDelta))
    reasoning_content = fields.Raw(metadata={"description": WANTED_BACK})
    reasoning_details = fields.Raw(metadata={"description": WANTED_BACK})
    x_openclaw_provider = fields.Raw(metadata={"description": WHOSE})


class ChunkChoice(Schema):
    index = fields.Integer(required=True, validate=Equal(0))
    delta = fields.Nested(Delta, required=True)
    finish_reason = fields.String(required=True, allow_none=True, validate=OneOf(REASONS))


class ChatCompletionChunk(Schema):
    """The JSON of one `data:` line of a stream."""

    id = text("The same in all chunks; also the id of the run.")
    object = literal("chat.completion.chunk")
    created = count("The same in all chunks.")
    model = text("The request's `model` as it was written.")
    choices = fields.List(
        fields.Nested(ChunkChoice),
        required=True,
        validate=Length(max=1),
        metadata={"description": "Empty in the usage chunk, and beside `openclaw`."},
    )
    openclaw = fields.Nested(RunEvent)
    usage = fields.Nested(
        Usage, allow_none=True, metadata={"description": "Only with `stream_options.include_usage`."}
    )


STREAM_EVENT: dict[str, Any] = {
    "description": "One event of a stream.",
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {
            "anyOf": [
                {"const": "[DONE]", "description": "The end."},
                {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {"anyOf": [ref("ChatCompletionChunk"), ref("Error")]},
                },
            ]
        }
    },
}


class Model(Schema):
    id = text("What to send as `model`.")
    object = literal("model")
    created = count("When the gateway started.")
    owned_by = literal("openclaw")


class ModelList(Schema):
    object = literal("list")
    data = fields.List(fields.Nested(Model), required=True, validate=Length(min=1))


class Health(Schema):
    ok = fields.Boolean(required=True, validate=Equal(True))
    status = literal("live")


class Readiness(Schema):
    ready = fields.Boolean(required=True)
    failing = fields.List(
        fields.String(validate=OneOf(("draining", "storage", "redis"))),
        required=True,
        metadata={"description": "Why it is not ready."},
    )
    uptimeMs = count("Milliseconds since the start.")  # noqa: N815
    config = fields.String(
        validate=OneOf(("current", "stale")),
        metadata={
            "description": "With `?verbose`; `stale`: the changed file is broken, the last good one is used."
        },
    )
    activeRuns = fields.Integer(  # noqa: N815
        validate=Range(min=0), metadata={"description": "With `?verbose`."}
    )
    storage = fields.String(
        metadata={
            "description": "With `?verbose`: `persistent`, or `ephemeral: ` and why sessions will be lost."
        }
    )
    retention = fields.Dict(
        metadata={
            "description": "With `?verbose`: `lastRunAt`, when a worker last looked for sessions to remove "
            "(milliseconds since 1970), and `removed`, how many it has, by reason."
        }
    )
    execSandbox = fields.String(  # noqa: N815
        metadata={"description": "With `?verbose`: which sandbox commands run in."}
    )


COMPONENTS: tuple[type[Schema], ...] = (
    Error,
    ChatCompletion,
    ChatCompletionChunk,
    ModelList,
    Health,
    Readiness,
)
