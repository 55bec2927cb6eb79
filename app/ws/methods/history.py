"""A session's messages as clients show them (docs/websocket.md#history)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.gateway import Gateway
from app.json_values import load_json
from app.messages import ImagePart, Message
from app.model_name import ModelName
from app.sessions.keys import shown_run_id
from app.sessions.rows import TranscriptRow
from app.ws.params import Params

MAX_BYTES = 4 * 1024 * 1024  # of the messages of one response, as JSON
OMITTED = "[chat.history omitted: message too large]"  # OpenClaw's words: its clients know them


@dataclass(frozen=True, slots=True)
class Page:
    """Which messages a client asks for: `limit` at most, without the `offset` newest, `max_bytes` as JSON."""

    limit: int
    offset: int
    max_bytes: int


def load_page(params: Params, limit: int) -> Page:
    """The page that `offset` and `maxBytes` describe. Raises InvalidRequest."""
    max_bytes = params.integer("maxBytes", MAX_BYTES, 1)
    return Page(limit, params.integer("offset", 0), min(max_bytes, MAX_BYTES))


def dump_history(gateway: Gateway, key: str, page: Page) -> dict[str, Any]:
    """A page of a session's messages, and its active run."""
    session = gateway.store.index.describe(key)
    active = gateway.all_runs.at_work(key)
    answer: dict[str, Any] = {
        "sessionKey": key,
        "sessionId": session.session_id if session is not None else None,
        "thinkingLevel": (session.settings if session is not None else {}).get("thinkingLevel", "off"),
        "pendingInputs": {"items": [], "total": 0},
        **dump_page(gateway, key, page),
    }
    if active is not None:
        answer["inFlightRun"] = {"runId": active.shown_id, "startedAt": active.started_at}
    return answer


def dump_page(gateway: Gateway, key: str, page: Page) -> dict[str, Any]:
    """A page of a session's messages, oldest first, and whether older ones are left out."""
    transcripts = gateway.store.transcripts
    # As many characters again, for pictures that are left out.
    rows = transcripts.page(key, page.limit, page.offset, 2 * page.max_bytes)
    total = rows[-1].seq + page.offset if rows else transcripts.length(key)
    messages = newest_that_fit([dump_row(row, key) for row in rows], page.max_bytes)
    end = page.offset + len(messages)
    answer: dict[str, Any] = {"messages": messages, "hasMore": end < total, "totalMessages": total}
    return {**answer, "nextOffset": end} if messages and end < total else answer


def newest_that_fit(messages: Sequence[dict[str, Any]], max_bytes: int) -> list[dict[str, Any]]:
    """The newest of `messages` that have at most `max_bytes` together, as JSON, but at least one.

    One without room for its images is shown without them. One that would take more than half of the room has
    a text of ours instead of its content.
    """
    fitting: list[dict[str, Any]] = []
    left = max_bytes
    for message in reversed(messages):
        shown = message
        if _size(shown) > min(left, max_bytes // 2):
            shown = _without_images(message)
        if _size(shown) > max_bytes // 2:
            shown = _without_content(message)
        left -= _size(shown)
        if left < 0 and fitting:
            break
        fitting.append(shown)
    return fitting[::-1]


def _size(message: dict[str, Any]) -> int:
    return len(orjson.dumps(message))


def _without_images(message: dict[str, Any]) -> dict[str, Any]:
    content = [
        {"type": "image", "mimeType": part["mimeType"], "omitted": True, "bytes": len(part["data"]) * 3 // 4}
        if part["type"] == "image"
        else part
        for part in message["content"]
    ]
    return {**message, "content": content}


def _without_content(message: dict[str, Any]) -> dict[str, Any]:
    about = {**message["__openclaw"], "truncated": True, "reason": "oversized"}
    return {**message, "content": [{"type": "text", "text": OMITTED}], "__openclaw": about}


def dump_row(row: TranscriptRow, key: str) -> dict[str, Any]:
    """A message of the session `key`. By `idempotencyKey` the Control UI recognizes the messages that it sent
    itself.
    """
    message, run_id = row.message, shown_run_id(row.run_id, key)
    about: dict[str, Any] = {"id": str(row.id), "seq": row.seq}
    fields: dict[str, Any] = {
        "role": "toolResult" if message.role == "tool" else message.role,
        "content": _content(message),
        "timestamp": row.created_at,
        "__openclaw": about,
    }
    if message.role == "user":
        about["idempotencyKey"] = run_id
        fields["idempotencyKey"] = f"{run_id}:user"
    else:
        about["runId"] = run_id
    if message.tool_call_id is not None:
        fields["toolCallId"] = message.tool_call_id
        if message.name is not None:
            fields["toolName"] = message.name
    if message.role == "assistant" and row.model:
        fields["provider"], fields["model"] = ModelName.parse(row.model)
        fields["stopReason"] = "aborted" if row.state == "partial" else "stop"
    return fields


def _content(message: Message) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if message.text:
        parts.append({"type": "text", "text": message.text})
    if message.refusal:
        parts.append({"type": "text", "text": message.refusal})
    parts += [_image(image) for image in message.images]
    for call in message.tool_calls:
        call_part = {"type": "toolCall", "id": call.id, "name": call.name}
        parts.append({**call_part, "arguments": _arguments(call.arguments)})
    return parts


def _image(image: ImagePart) -> dict[str, Any]:
    return {"type": "image", "mimeType": image.mime, "data": image.data}


def _arguments(text: str) -> Any:
    try:
        return load_json(text)
    except ValueError:
        return {}
