"""`sessions.*` that change something: create, patch, reset, delete, compact (docs/websocket.md#methods)."""

from __future__ import annotations

import uuid
from typing import Any

from app.control.session_settings import load_changes, require_changes
from app.gateway import Gateway
from app.messages import Message
from app.runs.intake import RunInput
from app.sessions.rows import StoredSession
from app.ws.call import Call
from app.ws.methods.attachments import user_content
from app.ws.methods.session_rows import (
    canonical_key,
    dump_entry,
    dump_model,
    named_key,
    store_path,
)

DEFAULT_LINES = 400  # messages, which older clients stored one a line


def create(call: Call) -> Any:
    """A session, and its first run if there is a message for it."""
    params, gateway = call.params, call.gateway
    key = canonical_key(call, params.optional_text("key") or f"dashboard:{_new_name(call)}")
    given = {name: params.given[name] for name in ("label", "model", "thinkingLevel") if name in params.given}
    require_changes(call.peer.principal, given)
    session = gateway.sessions.create(key, given)
    return {
        "ok": True,
        "key": key,
        "agentId": session.agent_id,
        "sessionId": session.session_id,
        "entry": dump_entry(session),
        "resolved": _resolved(session, gateway),
        **_first_run(call, session),
    }


def _new_name(call: Call) -> uuid.UUID:
    """The same one each time if the request has a key: it may be one that is sent again."""
    key = call.params.optional_text("idempotencyKey")
    return uuid.uuid5(uuid.NAMESPACE_OID, repr((call.owner, key))) if key else uuid.uuid4()


def patch(call: Call) -> Any:
    """Set some settings of a session. Raises InvalidRequest, MissingScope and Forbidden."""
    gateway, key = call.gateway, named_key(call)
    changes = load_changes(call.params.given, gateway.models)
    require_changes(call.peer.principal, changes)
    session = gateway.sessions.patch(key, changes)
    return {
        "ok": True,
        "path": store_path(gateway),
        "key": key,
        "entry": dump_entry(session),
        "resolved": _resolved(session, gateway),
    }


def reset(call: Call) -> Any:
    """Delete a session's messages and keep its settings."""
    gateway, key = call.gateway, named_key(call)
    session = gateway.sessions.reset(key)
    return {"ok": True, "key": key, "entry": dump_entry(session) if session is not None else {}}


def delete(call: Call) -> Any:
    """Delete a session with its messages."""
    key = named_key(call)
    return {"ok": True, "key": key, "deleted": call.gateway.sessions.delete(key), "archived": []}


def compact(call: Call) -> Any:
    """Delete all but the newest messages of a session."""
    key = named_key(call)
    done = call.gateway.sessions.compact(key, call.params.integer("maxLines", DEFAULT_LINES, 1))
    if not done.before:
        return {"ok": True, "key": key, "compacted": False, "reason": "no transcript"}
    return {"ok": True, "key": key, "compacted": done.kept < done.before, "kept": done.kept}


def fork(call: Call) -> Any:
    """A new session with the conversation of another one, up to a message."""
    key = call.gateway.session_copies.fork(
        call.peer.principal, call.params.text("key"), call.params.optional_text("messageId")
    )
    session = call.gateway.store.index.describe(key)
    return {"ok": True, "key": key, "entry": dump_entry(session) if session is not None else {}}


def _first_run(call: Call, session: StoredSession) -> dict[str, Any]:
    message = call.params.optional_text("message")
    if not message:
        return {"runStarted": False}
    call.peer.watch_session(session.key)
    request = call.gateway.intake.load(
        RunInput(
            source="ws",
            key_rules="operator",
            principal=call.peer.principal,
            messages=(Message("user", user_content(message, call)),),
            session_key=session.key,
            run_id=call.params.run_id() if call.params.optional_text("idempotencyKey") else None,
            starter=call.peer.id,
        )
    )
    if request.run_id is not None and call.gateway.repeats.known(request) is not None:
        return {"runStarted": True, "runId": call.params.run_id()}
    run = call.gateway.runs.start(request)
    return {"runStarted": True, "runId": run.shown_id}


def _resolved(session: StoredSession, gateway: Gateway) -> dict[str, str]:
    return dump_model(gateway.models.of(session.agent_id, session.settings.get("model")))
