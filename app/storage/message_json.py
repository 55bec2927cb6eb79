"""Messages as JSON text in the database, and back without loss. The role has its own column."""

from __future__ import annotations

from typing import Any

import orjson

from app.messages import Extra, ImagePart, Message, Role, TextPart, ToolCall


def dump_message(message: Message) -> str:
    """The message without its role, as JSON."""
    body: dict[str, Any] = {"content": _dump_content(message)}
    if message.tool_calls:
        body["tool_calls"] = [_dump_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        body["name"] = message.name
    if message.refusal is not None:
        body["refusal"] = message.refusal
    if message.extra is not None:
        body["extra"] = _dump_extra(message.extra)
    return orjson.dumps(body).decode()


def load_message(role: Role, text: str) -> Message:
    """The message that `dump_message` was given."""
    body = orjson.loads(text)
    content = body["content"]
    if len(body) == 1 and isinstance(content, str):
        return Message(role, content)  # nearly always
    return Message(
        role,
        content if isinstance(content, str) else tuple(_load_part(part) for part in content),
        tuple(_load_call(*call) for call in body.get("tool_calls", ())),
        body.get("tool_call_id"),
        body.get("name"),
        body.get("refusal"),
        extra=_load_extra(body.get("extra")),
    )


def _dump_call(call: ToolCall) -> list[Any]:
    fields = [call.id, call.name, call.arguments]
    return fields if call.extra is None else [*fields, _dump_extra(call.extra)]


def _load_call(call_id: str, name: str, arguments: str, extra: list[Any] | None = None) -> ToolCall:
    return ToolCall(call_id, name, arguments, _load_extra(extra))


def _dump_extra(extra: Extra) -> list[Any]:
    return [extra.fields, extra.provider]


def _load_extra(extra: list[Any] | None) -> Extra | None:
    return None if extra is None else Extra(*extra)


def _dump_content(message: Message) -> str | list[dict[str, str]]:
    if isinstance(message.content, str):
        return message.content
    return [_dump_part(part) for part in message.content]


def _dump_part(part: TextPart | ImagePart) -> dict[str, str]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    return {"mime": part.mime, "data": part.data}


def _load_part(part: dict[str, str]) -> TextPart | ImagePart:
    return TextPart(part["text"]) if "text" in part else ImagePart(part["mime"], part["data"])
