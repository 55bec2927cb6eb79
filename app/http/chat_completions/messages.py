"""The `messages` of a request -> a conversation and its instructions (docs/http.md#the-request).

Read without marshmallow, because chat clients resend the whole conversation: often thousands of messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from app.config.settings import ChatCompletionsSettings
from app.errors import InvalidRequest, MissingMessage
from app.media.images import ImageBudget, load_image_url
from app.media.location import Location
from app.messages import (
    CALL_EXTRAS,
    EXTRA_PROVIDER,
    MESSAGE_EXTRAS,
    Content,
    Extra,
    ImagePart,
    Message,
    PlainMessage,
    PlainMessages,
    Role,
    TextPart,
    ToolCall,
    json_size,
)

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}

_role = attrgetter("role")


class Conversation(msgspec.Struct, frozen=True):
    """`messages` has no system messages; their texts are joined in `instructions`."""

    messages: Sequence[Message]
    instructions: str | None


def load_conversation(raw: object, limits: ChatCompletionsSettings) -> Conversation:
    """`raw` is parsed JSON, or a list of `PlainMessage`.

    Raises MissingMessage if there is nothing to answer, InvalidRequest for a malformed message or image.
    """
    if not isinstance(raw, list) or not raw:
        raise _nothing_to_answer()
    if isinstance(raw[0], PlainMessage):
        return _load_plain(raw)
    budget = ImageBudget(limits)
    check_image_count(raw, budget)
    messages: list[Message] = []
    instructions: list[str] = []
    for index, one in enumerate(raw):
        message = load_message(one, f"messages[{index}]", budget)
        if message.role == "system":
            instructions.append(message.text)
        else:
            messages.append(message)
    if not any(_can_be_answered(message) for message in messages):
        raise _nothing_to_answer()
    return Conversation(tuple(messages), "\n\n".join(instructions) or None)


def check_image_count(messages: Sequence[object], budget: ImageBudget) -> None:
    """Only the newest user message is counted, before any image is decoded or fetched."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            parts = content if isinstance(content, list) else []
            count = sum(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)
            budget.check_count(count, Location.field(f"messages[{index}].content"))
            return


def _load_plain(raw: list[PlainMessage]) -> Conversation:
    """Looks at each message once, in C (`map` with `attrgetter`): there may be thousands."""
    roles = [*map(_role, raw)]
    has_prompt = roles[0] == "system"
    rest = raw[1:] if has_prompt else raw
    if has_prompt:
        del roles[0]
    texts = [raw[0].content] if has_prompt else []
    if "system" in roles:
        texts += [one.content for one in rest if one.role == "system"]
        rest = [one for one in rest if one.role != "system"]
        roles = [one for one in roles if one != "system"]
    if not any(one.role == "user" and one.content.strip() for one in reversed(rest)):
        raise _nothing_to_answer()
    return Conversation(PlainMessages(rest, roles), "\n\n".join(texts) or None)


def _nothing_to_answer() -> MissingMessage:
    return MissingMessage("Missing user message in `messages`.", param="messages")


def _can_be_answered(message: Message) -> bool:
    """Whether this can be answered: a user's text or image, or a tool's result, even an empty one."""
    if message.role == "user":
        return bool(message.text.strip() or message.images)
    return message.role == "tool"


def load_message(raw: object, path: str, budget: ImageBudget) -> Message:
    """One message, of any role. Raises InvalidRequest, whose `param` begins with `path`."""
    if not isinstance(raw, dict):
        raise InvalidRequest(f"`{path}` must be an object.", param=path)
    given = raw.get("role")
    role = ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        raise InvalidRequest(f"`{path}.role` must be one of: {', '.join(ROLES)}.", param=f"{path}.role")
    calls = _tool_calls(raw, path) if role == "assistant" else ()
    refusal = _refusal(raw, path) if role == "assistant" else None
    may_be_null = bool(calls or refusal) or given == "function"
    content = _content(raw.get("content"), role, f"{path}.content", budget, may_be_null)
    extra = _message_extra(raw, calls) if calls else None
    return Message(role, content, calls, _tool_call_id(raw, role, path), _name(raw, path), refusal, extra)


def _content(raw: object, role: Role, path: str, budget: ImageBudget, may_be_null: bool) -> Content:
    if isinstance(raw, str):
        return raw
    if raw is None and may_be_null:
        return ""
    if not isinstance(raw, list):
        raise InvalidRequest(f"`{path}` must be a string or a list of parts.", param=path)
    parts = tuple(_part(part, role, f"{path}[{index}]", budget) for index, part in enumerate(raw))
    if any(isinstance(part, ImagePart) for part in parts):
        return parts
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def _part(raw: object, role: Role, path: str, budget: ImageBudget) -> TextPart | ImagePart:
    kind = raw.get("type") if isinstance(raw, dict) else None
    if isinstance(raw, dict) and kind in ("text", "input_text"):
        return TextPart(_string(raw.get("text"), f"{path}.text"))
    if isinstance(raw, dict) and kind == "image_url":
        if role != "user":
            raise InvalidRequest(f"`{path}`: only user messages may have images.", param=path)
        return load_image_url(raw.get("image_url"), Location.field(f"{path}.image_url"), budget)
    if isinstance(raw, dict) and kind == "refusal" and role == "assistant":
        return TextPart(_string(raw.get("refusal"), f"{path}.refusal"))
    raise InvalidRequest(f"`{path}.type` must be one of: text, input_text, image_url.", param=f"{path}.type")


def _refusal(raw: dict[str, Any], path: str) -> str | None:
    refusal = raw.get("refusal")
    return None if refusal is None else _string(refusal, f"{path}.refusal")


def _tool_calls(raw: dict[str, Any], path: str) -> tuple[ToolCall, ...]:
    legacy = raw.get("function_call")
    if isinstance(legacy, dict):
        return (_tool_call({"id": _legacy_id(legacy), "function": legacy}, f"{path}.function_call"),)
    calls = raw.get("tool_calls")
    if calls is None:
        return ()
    if not isinstance(calls, list):
        raise InvalidRequest(f"`{path}.tool_calls` must be a list.", param=f"{path}.tool_calls")
    return tuple(_tool_call(call, f"{path}.tool_calls[{index}]") for index, call in enumerate(calls))


def _tool_call(raw: object, path: str) -> ToolCall:
    function = raw.get("function") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(function, dict):
        raise InvalidRequest(f"`{path}.function` must be an object.", param=path)
    return ToolCall(
        _string(raw.get("id"), f"{path}.id"),
        _string(function.get("name"), f"{path}.function.name"),
        _string(function.get("arguments", ""), f"{path}.function.arguments"),
        _extra(raw, CALL_EXTRAS),
    )


def _message_extra(raw: dict[str, Any], calls: Sequence[ToolCall]) -> Extra | None:
    extra = _extra(raw, MESSAGE_EXTRAS)
    if extra is None or extra.provider is not None:
        return extra
    providers = (call.extra.provider for call in calls if call.extra is not None)
    return Extra(extra.fields, next(providers, None))


def _extra(raw: dict[str, Any], names: Sequence[str]) -> Extra | None:
    """What the provider of an earlier answer wants back, if the caller resends it."""
    fields = {name: raw[name] for name in names if isinstance(raw.get(name), str | list | dict)}
    if not fields or json_size(fields) is None:
        return None
    provider = raw.get(EXTRA_PROVIDER)
    return Extra(fields, provider if isinstance(provider, str) else None)


def _string(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"`{path}` must be a string.", param=path)
    return value


def _tool_call_id(raw: dict[str, Any], role: Role, path: str) -> str | None:
    if role != "tool":
        return None
    if raw.get("role") == "function":
        return _legacy_id(raw)
    call_id = raw.get("tool_call_id")
    if not isinstance(call_id, str) or not call_id:
        raise InvalidRequest(
            f"`{path}.tool_call_id` must name the call that this is the result of.",
            param=f"{path}.tool_call_id",
        )
    return call_id


def _legacy_id(named: dict[str, Any]) -> str:
    """An id for OpenAI's old function messages, whose results refer to their calls by name."""
    return f"call_{named.get('name')}"


def _name(raw: dict[str, Any], path: str) -> str | None:
    name = raw.get("name")
    return None if name is None else _string(name, f"{path}.name")
