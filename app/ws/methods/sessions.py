"""`sessions.*` that only read; `session_changes` has the others (docs/websocket.md#methods)."""

from __future__ import annotations

from typing import Any

from app.auth.grants import is_granted
from app.auth.scopes import APPROVALS
from app.clock import now_ms
from app.errors import Forbidden, InvalidRequest
from app.routing.resolve import Route
from app.runs.request import RunRequest
from app.sessions.rows import SessionFilter, StoredSession
from app.tools.approvals.snapshot import snapshot
from app.ws.call import Call, Handler
from app.ws.methods.history import dump_page, load_page
from app.ws.methods.session_changes import compact, create, delete, fork, patch, reset
from app.ws.methods.session_rows import canonical_key, dump_defaults, dump_titled, named_key, store_path

DEFAULT_ROWS, MAX_ROWS = 200, 1000
DEFAULT_MESSAGES, MAX_MESSAGES = 200, 1000
MAX_PREVIEWS = 64  # sessions
MAX_PREVIEW_TEXT = 1024 * 1024  # characters, of all of them together
MAX_PREVIEW_READ = 1024 * 1024  # characters that are read of one


def list_sessions(call: Call) -> Any:
    """A page of the sessions, the ones used last first."""
    params, store = call.params, call.gateway.store
    limit, offset = min(params.integer("limit", DEFAULT_ROWS, 1), MAX_ROWS), params.integer("offset", 0)
    minutes = params.integer("activeMinutes", 0)
    title, preview = params.flag("includeDerivedTitles"), params.flag("includeLastMessage")
    where = SessionFilter(
        agent_id=params.optional_text("agentId"),
        label=params.optional_text("label"),
        search=(params.optional_text("search") or "").strip() or None,
        active_since=now_ms() - minutes * 60_000 if minutes else None,
        owner=call.owner,
        spawned_by=params.optional_text("spawnedBy"),
    )
    total = store.index.count(where)
    found = store.index.sessions(limit, offset, where, with_texts=title or preview)
    active = call.gateway.all_runs.active_sessions([one.key for one in found])
    more = offset + len(found) < total
    return {
        "ts": now_ms(),
        "path": store_path(call.gateway),
        "count": len(found),
        "totalCount": total,
        "limitApplied": limit,
        "offset": offset,
        "hasMore": more,
        "nextOffset": offset + len(found) if more else None,
        "defaults": dump_defaults(call.gateway),
        "sessions": [dump_titled(one, call.gateway, title, preview, active) for one in found],
    }


def describe(call: Call) -> Any:
    """One session's row, null if there is none; with `explain`, what its agent is given for a run, too."""
    params, session = call.params, call.gateway.store.index.describe(named_key(call))
    if session is None:
        return {"session": None}
    title, preview = params.flag("includeDerivedTitles"), params.flag("includeLastMessage")
    answer = {"session": dump_titled(session, call.gateway, title, preview)}
    return {**answer, "agent": _explain(call, session)} if params.flag("explain") else answer


def _explain(call: Call, session: StoredSession) -> Any:
    """Prompt and tools of the session's agent. Raises Forbidden: files of its workspace are in the prompt."""
    if call.owner is not None:
        raise Forbidden("Only operators may see the system prompt of an agent.")
    request = RunRequest(
        route=Route(session.agent_id, session.key, "key"),
        messages=(),
        source="ws",
        model=session.settings.get("model"),
        principal=call.peer.principal,
    )
    return call.gateway.runs.explain(request).dump()


def resolve(call: Call) -> Any:
    """The key of the session with that id or label."""
    params, store = call.params, call.gateway.store
    key, session_id, label = (params.optional_text(name) for name in ("key", "sessionId", "label"))
    given = [value for value in (key, session_id, label) if value]
    if len(given) > 1:
        raise InvalidRequest("Provide either key, sessionId, or label (not multiple)")
    if not given:
        raise InvalidRequest("Either key, sessionId, or label is required")
    if key:
        where = SessionFilter(key=canonical_key(call, key), owner=call.owner)
    else:
        where = SessionFilter(
            session_id=session_id or None,
            label=label or None,
            agent_id=params.optional_text("agentId"),
            owner=call.owner,
        )
    found = store.index.sessions(2, where=where)
    if not found:
        raise InvalidRequest(f"No session found{' with label' if label else ''}: {given[0][:200]}")
    if len(found) > 1:
        keys = ", ".join(one.key for one in found)
        raise InvalidRequest(f"Multiple sessions found with label: {given[0][:200]} ({keys})")
    return {"ok": True, "key": found[0].key, "agentId": found[0].agent_id}


def preview(call: Call) -> Any:
    """The last messages of several sessions, cut to a length: a shorter one if that would be very much."""
    params = call.params
    keys = params.texts("keys")
    if not keys:
        raise params.wrong("at /keys", "must NOT have fewer than 1 items")
    if len(keys) > MAX_PREVIEWS:
        raise params.wrong("at /keys", f"must NOT have more than {MAX_PREVIEWS} items")
    limit, most = params.integer("limit", 12, 1, 200), params.integer("maxChars", 240, 20, 2000)
    most = min(most, MAX_PREVIEW_TEXT // (len(keys) * limit))
    return {"ts": now_ms(), "previews": [_preview(call, key, limit, most) for key in keys]}


def get(call: Call) -> Any:
    """A page of a session's messages, oldest first; where older ones begin, if there are any."""
    limit = min(call.params.integer("limit", DEFAULT_MESSAGES, 1), MAX_MESSAGES)
    page = dump_page(call.gateway, named_key(call), load_page(call.params, limit))
    return page if page["hasMore"] else {"messages": page["messages"]}


def subscribe(call: Call) -> Any:
    """Tell this connection from now on which sessions change. Params ask for the list."""
    call.peer.follows_sessions = True
    return {"subscribed": True, **({"list": list_sessions(call)} if call.params.given else {})}


def unsubscribe(call: Call) -> Any:
    """The end of `subscribe`."""
    call.peer.follows_sessions = False
    return {"subscribed": False}


def subscribe_messages(call: Call) -> Any:
    """Send this connection the events of a session's runs from now on."""
    key = named_key(call)
    call.peer.watch_session(key)
    answer: dict[str, Any] = {"subscribed": True, "key": key}
    if call.params.flag("includeApprovals"):
        waiting = {"updatedAtMs": now_ms(), "approvals": _waiting(call, key), "truncated": False}
        answer["approvalReplay"] = {"sessionKey": key, **waiting}
    return answer


def _waiting(call: Call, key: str) -> list[dict[str, Any]]:
    """The session's calls that wait for approval, for those who may approve them."""
    principal = call.peer.principal
    if not is_granted(principal, APPROVALS):
        return []
    pending = call.gateway.approvals.pending(principal)
    return [snapshot(one) for one in pending if one.request.session_key == key]


def unsubscribe_messages(call: Call) -> Any:
    """The end of `subscribe_messages`."""
    key = named_key(call)
    call.peer.watched.discard(key)
    return {"subscribed": False, "key": key}


def _preview(call: Call, name: str, limit: int, most: int) -> dict[str, Any]:
    key = canonical_key(call, name)
    rows = call.gateway.store.transcripts.page(key, limit, max_size=MAX_PREVIEW_READ)
    items = [
        {"role": row.message.role, "text": text if len(text) <= most else text[: most - 1] + "…"}
        for row in rows
        if (text := row.message.text.strip())
    ]
    if not items:
        known = call.gateway.store.index.count(SessionFilter(key=key))
        return {"key": name, "status": "empty" if known else "missing", "items": []}
    return {"key": name, "status": "ok", "items": items}


SESSIONS: dict[str, Handler] = {
    "sessions.list": list_sessions,
    "sessions.describe": describe,
    "sessions.resolve": resolve,
    "sessions.preview": preview,
    "sessions.get": get,
    "sessions.create": create,
    "sessions.patch": patch,
    "sessions.reset": reset,
    "sessions.delete": delete,
    "sessions.compact": compact,
    "sessions.fork": fork,
    "sessions.subscribe": subscribe,
    "sessions.unsubscribe": unsubscribe,
    "sessions.messages.subscribe": subscribe_messages,
    "sessions.messages.unsubscribe": unsubscribe_messages,
}
