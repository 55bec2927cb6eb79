"""Sessions and their messages as JSON for models, within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from app.messages import ToolCall
from app.sessions.keys import space_of
from app.sessions.rows import SPAWNED_BY, StoredSession, TranscriptRow
from app.tools.base import ToolOutput
from app.tools.sessions.host import SessionHost
from app.tools.sessions.text import SafeTexts
from app.tools.untrusted import wrap_untrusted

SUBAGENT = "subagent:"


def kind_of(key: str, main_key: str) -> str:
    """`main`, `group`, `cron`, `hook`, `node` or `other`."""
    rest = rest_of(key)
    if rest == main_key:
        return "main"
    for kind in ("group", "cron", "hook", "node"):
        if rest.startswith(f"{kind}:") or f":{kind}:" in rest:
            return kind
    return "other"


def rest_of(key: str) -> str:
    """What follows the agent, and the owner's space, in a canonical key."""
    return key.split(":", 2)[-1].removeprefix(space_of(key))


def is_subagent(key: str) -> bool:
    return rest_of(key).startswith(SUBAGENT)


def dump_session(session: StoredSession, host: SessionHost, main_key: str) -> dict[str, Any]:
    """A session's row; what is not known is left out."""
    model = host.model_of(session.agent_id, session.settings.get("model"))
    row = {
        "key": session.key,
        "sessionId": session.session_id,
        "agentId": session.agent_id,
        "kind": kind_of(session.key, main_key),
        "label": session.label,
        "displayName": session.settings.get("displayName"),
        "channel": "internal",
        "archived": bool(session.settings.get("archived")),
        "pinned": bool(session.settings.get("pinned")),
        "updatedAt": session.updated_at,
        "model": model,
        "contextTokens": host.context_tokens(model),
        "totalTokens": session.total_tokens,
        "status": "running" if host.is_active(session.key) else "idle",
        "spawnedBy": session.settings.get(SPAWNED_BY),
        "derivedTitle": session.title,
        "lastMessage": session.preview,
    }
    return {name: value for name, value in row.items() if value is not None}


def dump_message(row: TranscriptRow, texts: SafeTexts, *, with_tools: bool) -> dict[str, Any] | None:
    """A message; None if there is nothing in it to be shown."""
    message = row.message
    shown: dict[str, Any] = {"role": message.role, "text": texts.of(message), "at": row.created_at}
    shown |= {"id": row.id, "seq": row.seq}
    if message.role == "tool":
        if not with_tools:
            return None
        shown["tool"] = message.name
    elif message.tool_calls and with_tools:
        shown["calls"] = [_dump_call(call, texts) for call in message.tool_calls]
    elif not shown["text"]:
        return None
    if row.state == "partial":
        shown["cutShort"] = True
    return shown


def _dump_call(call: ToolCall, texts: SafeTexts) -> dict[str, str]:
    return {"name": call.name, "arguments": texts.safe(call.arguments)}


def those_that_fit(rows: Sequence[dict[str, Any]], max_bytes: int) -> list[dict[str, Any]]:
    """The first of `rows` that have at most `max_bytes` as JSON; at least one."""
    fitting: list[dict[str, Any]] = []
    left = max_bytes
    for row in rows:
        left -= len(orjson.dumps(row)) + 1
        if left < 0 and fitting:
            break
        fitting.append(row)
    return fitting


def as_json(value: dict[str, Any], untrusted: str | None = None) -> ToolOutput:
    """A result as JSON. `untrusted` says whose words are in it, if they are not the agent's own."""
    text = orjson.dumps(value).decode()
    return ToolOutput(text if untrusted is None else wrap_untrusted(text, untrusted), details=value)
