"""Schemas of a request's messages, for the OpenAPI document only.

They are read by `chat_completions/messages.py`, without these; tests/unit/http/openapi compares the two.
"""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, fields
from marshmallow import Schema as MarshmallowSchema
from marshmallow.validate import Length, OneOf

from app.http.chat_completions.messages import ROLES

# Python's `str.strip` removes a few separators that are not in ECMAScript's `\s`.
NOT_BLANK = r"[^\s\u001c-\u001f\u0085]"
IMAGE_URI = r"^data:image/(jpeg|png|gif|webp);base64,[A-Za-z0-9+/]+={0,2}$"
WEB_URI = r"^https?://"
NULL = {"type": "null"}
TEXT = {"type": "string"}
IMAGE = ({"type": "string", "pattern": IMAGE_URI}, {"type": "string", "pattern": WEB_URI})


def ref(name: str) -> dict[str, str]:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def either(doc: str, *choices: dict[str, Any], required: bool = False, **more: Any) -> fields.Raw:
    """A value of one of several schemas, which marshmallow has no field for."""
    return fields.Raw(required=required, metadata={"description": doc, "anyOf": list(choices), **more})


def word(*words: str) -> fields.String:
    """A required string out of `words`."""
    return fields.String(required=True, validate=OneOf(words))


class Schema(MarshmallowSchema):
    class Meta:
        unknown = EXCLUDE


class TextPart(Schema):
    type = word("text", "input_text")
    text = fields.String(required=True)


class RefusalPart(Schema):
    type = word("refusal")
    refusal = fields.String(required=True)


class ImageUrl(Schema):
    url = either(
        "A base64 data URI; an http(s) address only where the configuration allows it.",
        *IMAGE,
        required=True,
    )


class ImagePart(Schema):
    type = word("image_url")
    image_url = either("The image.", ref("ImageUrl"), *IMAGE, required=True)


class FunctionCall(Schema):
    name = fields.String(required=True)
    arguments = fields.String(metadata={"description": "JSON, as the model wrote it."})


WANTED_BACK = "What the provider wants back with its call; resend it as it came."
WHOSE = "The provider that these fields are for."


class ToolCall(Schema):
    id = fields.String(required=True)
    type = fields.String(validate=OneOf(("function",)))
    function = fields.Nested(FunctionCall, required=True)
    extra_content = fields.Raw(metadata={"description": WANTED_BACK})
    provider_specific_fields = fields.Raw(metadata={"description": WANTED_BACK})
    x_openclaw_provider = fields.Raw(metadata={"description": WHOSE})


TEXTS = array(ref("TextPart"))
SAID = array({"anyOf": [ref("TextPart"), ref("RefusalPart")]})
NAME = "The speaker's name."
REFUSAL = "What the assistant said in place of an answer."


class SystemMessage(Schema):
    role = word(*(name for name, role in ROLES.items() if role == "system"))
    content = either("Instructions for this turn.", TEXT, TEXTS, required=True)
    name = fields.String(allow_none=True, metadata={"description": NAME})


class UserMessage(Schema):
    role = word("user")
    content = either("What the user says and shows.", TEXT, array(ref("TextOrImagePart")), required=True)
    name = fields.String(allow_none=True, metadata={"description": NAME})


class AssistantMessage(Schema):
    role = word("assistant")
    content = either("The assistant's text.", TEXT, SAID, required=True)
    name = fields.String(allow_none=True, metadata={"description": NAME})
    refusal = fields.String(allow_none=True, metadata={"description": REFUSAL})
    tool_calls = either("Tool calls, besides the text.", array(ref("ToolCall")), NULL)
    function_call = either("The older form.", ref("FunctionCall"), NULL, deprecated=True)


class AssistantCalls(Schema):
    role = word("assistant")
    content = either("Text besides the calls.", TEXT, SAID, NULL)
    name = fields.String(allow_none=True, metadata={"description": NAME})
    refusal = fields.String(allow_none=True, metadata={"description": REFUSAL})
    tool_calls = fields.List(fields.Nested(ToolCall), required=True, validate=Length(min=1))
    reasoning_content = fields.Raw(metadata={"description": WANTED_BACK})
    reasoning_details = fields.Raw(metadata={"description": WANTED_BACK})
    x_openclaw_provider = fields.Raw(metadata={"description": WHOSE})
    function_call = fields.Raw(metadata={"type": "null", "description": "Not together with `tool_calls`."})


class AssistantFunctionCall(Schema):
    role = word("assistant")
    content = either("Text besides the call.", TEXT, SAID, NULL)
    name = fields.String(allow_none=True, metadata={"description": NAME})
    refusal = fields.String(allow_none=True, metadata={"description": REFUSAL})
    function_call = fields.Nested(FunctionCall, required=True, metadata={"deprecated": True})


class AssistantRefusal(Schema):
    role = word("assistant")
    content = either("Text besides the refusal.", TEXT, SAID, NULL)
    name = fields.String(allow_none=True, metadata={"description": NAME})
    refusal = fields.String(required=True, validate=Length(min=1), metadata={"description": REFUSAL})
    tool_calls = fields.Raw(metadata={"type": "null", "description": "Not together with a refusal."})
    function_call = fields.Raw(metadata={"type": "null", "description": "Not together with a refusal."})


class ToolMessage(Schema):
    role = word("tool")
    tool_call_id = fields.String(required=True, validate=Length(min=1))
    content = either("The tool's result; an empty one is a result.", TEXT, TEXTS, required=True)
    name = fields.String(allow_none=True)


class FunctionMessage(Schema):
    role = word("function")
    name = fields.String(required=True, metadata={"description": "The function whose result it is."})
    content = either("The result.", TEXT, TEXTS, NULL)


# In the order of the document.
MESSAGES: tuple[type[Schema], ...] = (
    SystemMessage,
    UserMessage,
    AssistantMessage,
    AssistantCalls,
    AssistantFunctionCall,
    AssistantRefusal,
    ToolMessage,
    FunctionMessage,
)


def unions() -> dict[str, dict[str, Any]]:
    """The components that are a union of others."""
    text = {"type": "string", "pattern": NOT_BLANK}
    words = {"type": "object", "required": ["text"], "properties": {"text": text}}
    shown = array(ref("TextOrImagePart"), contains={"anyOf": [ref("ImagePart"), words]})
    content = {"anyOf": [text, shown]}
    asks = {"type": "object", "required": ["role", "content"]}
    return {
        "Message": {"anyOf": [ref(one.__name__) for one in MESSAGES]},
        "TextOrImagePart": {"anyOf": [ref("TextPart"), ref("ImagePart")]},
        "Question": {
            "description": "A message that can be answered.",
            "anyOf": [
                {**asks, "properties": {"role": {"const": "user"}, "content": content}},
                {
                    "type": "object",
                    "required": ["role"],
                    "properties": {"role": {"enum": ["tool", "function"]}},
                },
            ],
        },
    }
