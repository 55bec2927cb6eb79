"""A model call as the body of a Chat Completions request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.config.settings import ModelSettings
from app.messages import ImagePart, Message, PlainMessage, PlainMessages, TextPart, ToolCall, ToolSpec
from app.providers.base import PARAMS, ModelCall

IMAGES_OF = "Images that came with the result of"
PROCESSED = PlainMessage("assistant", "I have processed the tool results.")  # in OpenClaw's words


def build_body(
    call: ModelCall, model: ModelSettings, max_tokens_field: str, provider: str = ""
) -> dict[str, Any]:
    """The body to send. It always asks for a stream: a run has its deltas as events, however it was started.

    `max_tokens_field` is the name of the limit on output tokens, unless the model's `compat` names another.
    `provider` is the name of the provider it is for, which gets back what it wants with its own tool calls.
    """
    body: dict[str, Any] = {
        "model": call.model,
        "messages": _messages(call.messages, provider),
        "stream": True,
    }
    if model.compat.get("requiresAssistantAfterToolResult"):
        body["messages"] = _with_answered_results(body["messages"])
    if model.compat.get("supportsUsageInStreaming", True):
        body["stream_options"] = {"include_usage": True}
    for name, value in call.params.items():
        if name in PARAMS:  # not `max_tokens`, whose name differs between servers
            body[name] = value
    limit = call.params.get("max_tokens", model.max_tokens)
    if limit is not None:
        body[model.compat.get("maxTokensField", max_tokens_field)] = limit
    if call.tools:
        body["tools"] = [_tool(tool) for tool in call.tools]
        if call.tool_choice is not None:
            body["tool_choice"] = _tool_choice(call.tool_choice)
    else:
        body.pop("parallel_tool_calls", None)  # OpenAI refuses it without `tools`
    return body


def _messages(messages: Sequence[Message], provider: str) -> Sequence[PlainMessage | dict[str, Any]]:
    if isinstance(messages, PlainMessages):
        return messages.wire  # they are stored in the wire format
    return [_message(message, provider) for message in _with_shown_images(messages)]


def _with_shown_images(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages with the images of tools in a message of the user behind the results: the API has no
    place for them in a tool's message.
    """
    if not any(message.role == "tool" and message.images for message in messages):
        return messages
    shown: list[Message] = []
    waiting: list[TextPart | ImagePart] = []
    for message in messages:
        if message.role != "tool" and waiting:
            if message.role == "user":  # roles have to take turns
                rest = message.content
                message = message._replace(
                    content=(*waiting, *((TextPart(rest),) if isinstance(rest, str) else rest))
                )
            else:
                shown.append(Message("user", tuple(waiting)))
            waiting = []
        if message.role == "tool" and message.images:
            waiting += [TextPart(f"{IMAGES_OF} {message.name or message.tool_call_id}:"), *message.images]
            message = message._replace(content=message.text)
        shown.append(message)
    return [*shown, Message("user", tuple(waiting))] if waiting else shown


def _with_answered_results(messages: Sequence[Any]) -> Sequence[Any]:
    """The messages with an assistant's one wherever the user's would follow a tool's result.

    So it is after a run that failed with the results in hand, and some chat templates refuse it.
    """
    answered: list[Any] = []
    before = None
    for message in messages:
        role = message.role if isinstance(message, PlainMessage) else message["role"]
        if (before, role) == ("tool", "user"):
            answered.append(PROCESSED)
        answered.append(message)
        before = role
    return answered


def _message(message: Message, provider: str) -> dict[str, Any]:
    role, content, tool_calls, tool_call_id, name, refusal, extra = message
    if refusal and isinstance(content, str) and not content.strip():
        content = refusal  # many servers do not know the field
    wire: dict[str, Any] = {
        "role": role,
        "content": content if isinstance(content, str) else [_part(part) for part in content],
    }
    if tool_calls:
        wire["content"] = content or None
        wire["tool_calls"] = [_tool_call(one, provider) for one in tool_calls]
        if extra is not None:
            wire |= extra.for_provider(provider)
    if tool_call_id is not None:
        wire["tool_call_id"] = tool_call_id
    if name is not None and role != "tool":
        wire["name"] = name
    return wire


def _tool_call(call: ToolCall, provider: str) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    wire = {"id": call.id, "type": "function", "function": function}
    return wire if call.extra is None else {**wire, **call.extra.for_provider(provider)}


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.data_uri}}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: str) -> str | Mapping[str, Any]:
    kind, _, name = choice.partition(":")
    return {"type": "function", "function": {"name": name}} if name else kind
