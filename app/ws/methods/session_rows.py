"""Sessions as clients show them, and which one they mean (docs/websocket.md#sessions)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from app.gateway import Gateway
from app.model_name import ModelName
from app.routing.operator import resolve_session_key
from app.sessions.keys import SPECIAL
from app.sessions.rows import SPAWNED_BY, StoredSession
from app.storage.url import is_postgres, shown_place
from app.ws.call import Call

_LEVELS = (
    *("displayName", "thinkingLevel", "verboseLevel", "reasoningLevel", "responseUsage", "elevatedLevel"),
    *("sendPolicy", "groupActivation"),
)


def named_key(call: Call, name: str = "key") -> str:
    """The canonical key of the session that a parameter names; it need not exist."""
    return canonical_key(call, call.params.text(name))


def canonical_key(call: Call, text: str) -> str:
    """The same for a key that is not a parameter of its own."""
    agent_id = call.params.optional_text("agentId")
    return resolve_session_key(text, agent_id, call.gateway.settings, call.owner)


def dump_model(name: str) -> dict[str, str]:
    """The two fields in which clients expect a `provider/model`."""
    provider, model = ModelName.parse(name)
    return {"modelProvider": provider, "model": model}


def dump_defaults(gateway: Gateway) -> dict[str, Any]:
    """What holds for a session for which nothing is set."""
    name = gateway.models.of(gateway.settings.default_agent.id)
    known = gateway.models.describe(name)
    return {**dump_model(name), "contextTokens": known.context_window if known else None}


def dump_session(
    session: StoredSession, gateway: Gateway, active: Collection[str] | None = None
) -> dict[str, Any]:
    """A row of a list; what is not known is left out. `active` are the keys of sessions with a run that goes
    on, if they have been looked up already.
    """
    if active is None:
        active = gateway.all_runs.active_sessions([session.key])
    name = gateway.models.of(session.agent_id, session.settings.get("model"))
    known = gateway.models.describe(name)
    row = {
        "key": session.key,
        "kind": kind_of(session.key),
        "agentId": session.agent_id,
        "sessionId": session.session_id,
        "createdAt": session.created_at,
        "updatedAt": session.updated_at,
        "lifecycleRevision": session.revision,
        "label": session.label,
        "spawnedBy": session.settings.get(SPAWNED_BY),
        **{level: session.settings.get(level) for level in _LEVELS},
        **dump_model(name),
        "contextTokens": known.context_window if known else None,
        "inputTokens": session.prompt_tokens,
        "outputTokens": session.completion_tokens,
        "totalTokens": session.total_tokens,
        "hasActiveRun": session.key in active,
    }
    return {name: value for name, value in row.items() if value is not None}


def dump_titled(
    session: StoredSession,
    gateway: Gateway,
    title: bool,
    preview: bool,
    active: Collection[str] | None = None,
) -> dict[str, Any]:
    """A row, with the title and the preview if they are asked for."""
    row = dump_session(session, gateway, active)
    if title and session.title:
        row["derivedTitle"] = session.title
    if preview and session.preview:
        row["lastMessagePreview"] = session.preview
    return row


def dump_entry(session: StoredSession) -> dict[str, Any]:
    """A session's own record, with all that was set for it."""
    entry = dict(session.settings)
    override = entry.pop("model", None)
    if isinstance(override, str):
        model = dump_model(override)
        entry |= {**model, "modelOverride": model["model"], "providerOverride": model["modelProvider"]}
    if session.label is not None:
        entry["label"] = session.label
    return {
        **entry,
        "sessionId": session.session_id,
        "updatedAt": session.updated_at,
        "createdAt": session.created_at,
        "lifecycleRevision": session.revision,
    }


def store_path(gateway: Gateway) -> str:
    """Where sessions are kept, for people: which database, but not how to get into it."""
    url = gateway.settings.storage_url
    return shown_place(url) if is_postgres(url) else url


def kind_of(key: str) -> str:
    """`global`, `unknown`, `group` or `direct`: clients show an icon for each."""
    if key in SPECIAL:
        return key
    return "group" if ":group:" in key or ":channel:" in key else "direct"
