"""The schema of a Chat Completions request, for the OpenAPI document only.

Requests are read by `app/http/chat_completions`, without this; tests/unit/http/openapi compares the two. A
few rules cannot be expressed in OpenAPI: that the names of tools differ, that `tool_choice` names one of
them or of the agent's own, that the bytes of an image are an image.
"""

from __future__ import annotations

from marshmallow import Schema as MarshmallowSchema
from marshmallow import fields
from marshmallow.validate import Length, OneOf

from app.http.chat_completions.schema import MAX_STOPS, ChatCompletionSchema
from app.http.client_tools import CHOICES
from app.http.openapi.message_schemas import (
    MESSAGES,
    NOT_BLANK,
    NULL,
    ImagePart,
    ImageUrl,
    RefusalPart,
    Schema,
    TextPart,
    ToolCall,
    array,
    either,
    ref,
    word,
)


class ToolFunction(Schema):
    name = fields.String(required=True, metadata={"pattern": NOT_BLANK})
    description = fields.String(allow_none=True)
    parameters = fields.Dict(allow_none=True, metadata={"description": "A JSON schema."})
    strict = fields.Boolean(allow_none=True)


class Tool(Schema):
    type = fields.String(validate=OneOf(("function",)))
    function = fields.Nested(ToolFunction, required=True)


class NamedFunction(Schema):
    name = fields.String(required=True, validate=Length(min=1))


class NamedTool(Schema):
    type = fields.String(validate=OneOf(("function",)))
    function = fields.Nested(NamedFunction, required=True)


class ResponseFormat(Schema):
    type = word("text", "json_object", "json_schema")


# The schema that checks requests, with descriptions of the fields that it leaves to other code.
ChatCompletionRequest = ChatCompletionSchema.from_dict(
    {
        "model": fields.String(
            allow_none=True,
            metadata={
                "description": "Which agent answers: `openclaw` the default one, `openclaw:<agent id>` that "
                "one. A name that is no agent is 404.",
                "examples": ["openclaw", "openclaw:main"],
            },
        ),
        "user": fields.String(
            allow_none=True,
            metadata={"description": "Names a session that lasts; without it none is kept."},
        ),
        "messages": fields.List(
            either("", ref("Message")),
            required=True,
            validate=Length(min=1),
            metadata={
                "description": "The conversation, with something to answer in it: text or an image of the "
                "user's, or a tool's result.",
                "allOf": [{"contains": ref("Question")}],
            },
        ),
        "stop": either(
            "Where an answer ends.",
            {"type": "string", "minLength": 1},
            array({"type": "string", "minLength": 1}, maxItems=MAX_STOPS),
            NULL,
        ),
        "response_format": fields.Nested(ResponseFormat, allow_none=True),
        "tools": either("The caller's own tools, with different names.", array(ref("Tool")), NULL),
        "tool_choice": either(
            "Which tool to call, of `tools` or of the agent's own. `none` offers no tools; `required`, or "
            "one by name, is 502 if the model does not comply.",
            {"type": "string", "enum": list(CHOICES)},
            ref("NamedTool"),
            NULL,
        ),
        "functions": either("The older form of `tools`, not supported.", array({}, maxItems=0), NULL),
        "function_call": either(
            "The older form of `tool_choice`, not supported.", {"enum": ["none", "auto"]}, NULL
        ),
    },
    name="ChatCompletionRequest",
)

# Schemas that others refer to by name; nested ones are added together with their parent.
COMPONENTS: tuple[type[MarshmallowSchema], ...] = (
    ChatCompletionRequest,
    *MESSAGES,
    TextPart,
    ImagePart,
    ImageUrl,
    RefusalPart,
    ToolCall,
    Tool,
    NamedTool,
)
