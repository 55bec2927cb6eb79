"""A session's messages as clients show them (docs/websocket.md#history)."""

from __future__ import annotations

from typing import Any

import orjson

from app.gateway import Gateway
from app.messages import ImagePart, Message
from app.model_name import ModelName
from app.sessions.keys import shown_run_id
from app.sessions.rows import TranscriptRow


def dump_history(gateway: Gateway, key: str, limit: int) -> dict[str, Any]:
    """The newest `limit` messages of a session, and its active run."""
    rows = gateway.store.transcripts.page(key, limit)
    total = rows[-1].seq if rows else 0
    session = gateway.store.index.describe(key)
    active = next((run for run in gateway.runs.active if run.session_key == key), None)
    answer: dict[str, Any] = {
        "sessionKey": key,
        "sessionId": session.session_id if session is not None else None,
        "messages": [dump_row(row, key) for row in rows],
        "thinkingLevel": (session.settings if session is not None else {}).get("thinkingLevel", "off"),
        "pendingInputs": {"items": [], "total": 0},
        "hasMore": total > len(rows),
        "totalMessages": total,
    }
    if active is not None:
        answer["inFlightRun"] = {"runId": active.shown_id, "startedAt": int(active.started_at * 1000)}
    return answer


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
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
