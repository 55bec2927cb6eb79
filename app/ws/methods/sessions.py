"""`sessions.*`: found, shown, set, begun anew, forgotten (contract, WebSocket section 5)."""

from __future__ import annotations

import time
import uuid
from typing import Any

from app.bootstrap import Gateway
from app.config.redact import redact_url
from app.errors import InvalidRequest, RunAborted, ServiceUnavailable, UnknownAgent
from app.messages import Message
from app.routing.resolve import Route
from app.runs.request import RunRequest
from app.sessions.store import SessionFilter, StoredSession
from app.ws.call import ADMIN, READ, WRITE, Call, Method
from app.ws.methods.attachments import user_content
from app.ws.methods.history import dump_row
from app.ws.methods.session_rows import (
    agent_of,
    canonical_key,
    dump_defaults,
    dump_entry,
    dump_model,
    dump_titled,
    main_session_key,
    model_of,
    named_key,
)
from app.ws.methods.session_settings import load_changes

STOP_SECONDS = 2.0
DEFAULT_ROWS, MOST_ROWS = 200, 1000
DEFAULT_MESSAGES, MOST_MESSAGES = 200, 1000
DEFAULT_LINES = 400
MOST_PREVIEWS = 64


def list_sessions(call: Call) -> Any:
    params, store = call.params, call.gateway.store
    limit, offset = min(params.integer("limit", DEFAULT_ROWS, 1), MOST_ROWS), params.integer("offset", 0)
    minutes = params.integer("activeMinutes", 0)
    title, preview = params.flag("includeDerivedTitles"), params.flag("includeLastMessage")
    where = SessionFilter(
        agent_id=params.optional_text("agentId"),
        label=params.optional_text("label"),
        search=(params.optional_text("search") or "").strip() or None,
        active_since=_now() - minutes * 60_000 if minutes else None,
    )
    # Nothing here is spawned by another session.
    spawned = params.optional_text("spawnedBy") is not None
    total = 0 if spawned else store.count(where)
    found = [] if spawned else store.sessions(limit, offset, where, with_texts=title or preview)
    more = offset + len(found) < total
    return {
        "ts": _now(),
        "path": _path(call.gateway),
        "count": len(found),
        "totalCount": total,
        "limitApplied": limit,
        "offset": offset,
        "hasMore": more,
        "nextOffset": offset + len(found) if more else None,
        "defaults": dump_defaults(call.gateway),
        "sessions": [dump_titled(one, call.gateway, title, preview) for one in found],
    }


def describe(call: Call) -> Any:
    session = call.gateway.store.describe(named_key(call))
    if session is None:
        return {"session": None}
    title, preview = call.params.flag("includeDerivedTitles"), call.params.flag("includeLastMessage")
    return {"session": dump_titled(session, call.gateway, title, preview)}


def resolve(call: Call) -> Any:
    """The key that an id or a label stands for."""
    params, store = call.params, call.gateway.store
    key, session_id, label = (params.optional_text(name) for name in ("key", "sessionId", "label"))
    given = [value for value in (key, session_id, label) if value]
    if len(given) > 1:
        raise InvalidRequest("Provide either key, sessionId, or label (not multiple)")
    if not given:
        raise InvalidRequest("Either key, sessionId, or label is required")
    if key:
        where = SessionFilter(key=canonical_key(call, key))
    else:
        where = SessionFilter(
            session_id=session_id or None, label=label or None, agent_id=params.optional_text("agentId")
        )
    found = store.sessions(2, where=where)
    if not found:
        raise InvalidRequest(f"No session found{' with label' if label else ''}: {given[0][:200]}")
    if len(found) > 1:
        keys = ", ".join(one.key for one in found)
        raise InvalidRequest(f"Multiple sessions found with label: {given[0][:200]} ({keys})")
    return {"ok": True, "key": found[0].key, "agentId": found[0].agent_id}


def preview(call: Call) -> Any:
    params = call.params
    keys = params.texts("keys")
    if not keys:
        raise params.wrong("at /keys", "must NOT have fewer than 1 items")
    if len(keys) > MOST_PREVIEWS:
        raise params.wrong("at /keys", f"must NOT have more than {MOST_PREVIEWS} items")
    limit, most = params.integer("limit", 12, 1, 200), params.integer("maxChars", 240, 20, 2000)
    return {"ts": _now(), "previews": [_preview(call, key, limit, most) for key in keys]}


def get(call: Call) -> Any:
    limit = min(call.params.integer("limit", DEFAULT_MESSAGES, 1), MOST_MESSAGES)
    rows = call.gateway.store.transcript(named_key(call), limit, call.params.integer("offset", 0))
    return {"messages": [dump_row(row) for row in rows]}


def create(call: Call) -> Any:
    """A session, and its first run if there is a message for it."""
    params, gateway = call.params, call.gateway
    key = canonical_key(call, params.optional_text("key") or f"dashboard:{uuid.uuid4()}")
    owner = agent_of(key, gateway)
    if gateway.settings.agent(owner) is None:
        raise UnknownAgent(f'unknown agent id "{owner}"')
    given = {name: params.given[name] for name in ("label", "model", "thinkingLevel") if name in params.given}
    session = gateway.store.patch(key, owner, load_changes(given, gateway))
    return {
        "ok": True,
        "key": key,
        "agentId": owner,
        "sessionId": session.session_id,
        "entry": dump_entry(session),
        "resolved": _resolved(session, gateway),
        **_first_run(call, session),
    }


def patch(call: Call) -> Any:
    gateway, key = call.gateway, named_key(call)
    session = gateway.store.patch(key, agent_of(key, gateway), load_changes(call.params.given, gateway))
    return {
        "ok": True,
        "path": _path(gateway),
        "key": key,
        "entry": dump_entry(session),
        "resolved": _resolved(session, gateway),
    }


def reset(call: Call) -> Any:
    gateway, key = call.gateway, named_key(call)
    end_runs(gateway, key, "The session begins anew.")
    if not gateway.store.reset(key):
        gateway.store.patch(key, agent_of(key, gateway), {})
    session = gateway.store.describe(key)
    return {"ok": True, "key": key, "entry": dump_entry(session) if session is not None else {}}


def delete(call: Call) -> Any:
    gateway, key = call.gateway, named_key(call)
    if key == main_session_key(gateway):
        raise InvalidRequest(f"Cannot delete the main session ({key}).")
    end_runs(gateway, key, "The session was deleted.")
    return {"ok": True, "key": key, "deleted": gateway.store.delete(key), "archived": []}


def compact(call: Call) -> Any:
    gateway, key = call.gateway, named_key(call)
    most = call.params.integer("maxLines", DEFAULT_LINES, 1)
    end_runs(gateway, key, "The session is being compacted.")
    before = gateway.store.length(key)
    if not before:
        return {"ok": True, "key": key, "compacted": False, "reason": "no transcript"}
    kept = gateway.store.compact(key, most)
    return {"ok": True, "key": key, "compacted": kept < before, "kept": kept}


def subscribe(call: Call) -> Any:
    """Every operator hears of every run; the list comes along for those who ask for one."""
    return {"subscribed": True, **({"list": list_sessions(call)} if call.params.given else {})}


def unsubscribe(_: Call) -> Any:
    return {"subscribed": False}


def subscribe_messages(call: Call) -> Any:
    key = named_key(call)
    call.peer.watch_session(key)
    answer: dict[str, Any] = {"subscribed": True, "key": key}
    if call.params.flag("includeApprovals"):
        nothing = {"updatedAtMs": _now(), "approvals": [], "truncated": False}
        answer["approvalReplay"] = {"sessionKey": key, **nothing}
    return answer


def unsubscribe_messages(call: Call) -> Any:
    key = named_key(call)
    call.peer.watched.discard(key)
    return {"subscribed": False, "key": key}


def end_runs(gateway: Gateway, key: str, why: str) -> None:
    """Stop what goes on in a session, and wait until it is stored. Raises ServiceUnavailable."""
    going_on = [run for run in gateway.runs.active if run.session_key == key]
    for run in going_on:
        run.abort(RunAborted(why))
    deadline = time.monotonic() + STOP_SECONDS
    while not all(run.ended for run in going_on):
        if time.monotonic() > deadline:
            raise ServiceUnavailable(f"Session {key} is still active; try again in a moment.", retry_after=1)
        time.sleep(0.005)


def _preview(call: Call, text: str, limit: int, most: int) -> dict[str, Any]:
    key = canonical_key(call, text)
    rows = call.gateway.store.transcript(key, limit)
    items = [
        {"role": row.message.role, "text": said if len(said) <= most else said[: most - 1] + "…"}
        for row in rows
        if (said := row.message.text.strip())
    ]
    if not items:
        known = call.gateway.store.count(SessionFilter(key=key))
        return {"key": text, "status": "empty" if known else "missing", "items": []}
    return {"key": text, "status": "ok", "items": items}


def _first_run(call: Call, session: StoredSession) -> dict[str, Any]:
    message = call.params.optional_text("message")
    if not message:
        return {"runStarted": False}
    call.peer.watch_session(session.key)
    run = call.gateway.runs.start(
        RunRequest(
            route=Route(session.agent_id, session.key, "key"),
            messages=(Message("user", user_content(message, call.params)),),
            source="ws",
            model=session.settings.get("model"),
            principal=call.peer.principal,
            run_id=call.params.optional_text("idempotencyKey") or str(uuid.uuid4()),
            origin=call.peer,
        )
    )
    return {"runStarted": True, "runId": run.id}


def _resolved(session: StoredSession, gateway: Gateway) -> dict[str, str]:
    return dump_model(model_of(gateway, session.agent_id, session.settings.get("model")))


def _path(gateway: Gateway) -> str:
    """Where sessions are kept, for people."""
    return redact_url(gateway.settings.storage_url)


def _now() -> int:
    return time.time_ns() // 1_000_000


SESSIONS: dict[str, Method] = {
    "sessions.list": Method(list_sessions, READ),
    "sessions.describe": Method(describe, READ),
    "sessions.resolve": Method(resolve, READ),
    "sessions.preview": Method(preview, READ),
    "sessions.get": Method(get, READ),
    "sessions.create": Method(create, WRITE),
    "sessions.patch": Method(patch, ADMIN),
    "sessions.reset": Method(reset, ADMIN),
    "sessions.delete": Method(delete, ADMIN),
    "sessions.compact": Method(compact, ADMIN),
    "sessions.subscribe": Method(subscribe, READ),
    "sessions.unsubscribe": Method(unsubscribe, READ),
    "sessions.messages.subscribe": Method(subscribe_messages, READ),
    "sessions.messages.unsubscribe": Method(unsubscribe_messages, READ),
}
