"""Messages as JSON text in the database, and back without loss. The role has its own column."""

from __future__ import annotations

from typing import Any

import orjson

from app.messages import ImagePart, Message, Role, TextPart, ToolCall


def dump_message(message: Message) -> str:
    """The message without its role, as JSON."""
    body: dict[str, Any] = {"content": _dump_content(message)}
    if message.tool_calls:
        body["tool_calls"] = [[call.id, call.name, call.arguments] for call in message.tool_calls]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        body["name"] = message.name
    if message.refusal is not None:
        body["refusal"] = message.refusal
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
        tuple(ToolCall(*call) for call in body.get("tool_calls", ())),
        body.get("tool_call_id"),
        body.get("name"),
        body.get("refusal"),
    )


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
