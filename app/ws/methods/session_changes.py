"""Sessions made, set, begun anew, shortened, forgotten (contract, WebSocket section 5)."""

from __future__ import annotations

import time
import uuid
from typing import Any

from app.auth.grants import require
from app.auth.scopes import ADMIN
from app.errors import InvalidRequest, RunAborted, ServiceUnavailable
from app.gateway import Gateway
from app.messages import Message
from app.routing.operator import agent_of_key, main_session_key, resolve_agent_id
from app.routing.resolve import Route
from app.runs.request import RunRequest
from app.sessions.rows import StoredSession
from app.ws.call import Call
from app.ws.methods.attachments import user_content
from app.ws.methods.session_rows import (
    canonical_key,
    dump_entry,
    dump_model,
    model_of,
    named_key,
    store_path,
)
from app.ws.methods.session_settings import load_changes, needs_admin

STOP_SECONDS = 2.0
DEFAULT_LINES = 400


def create(call: Call) -> Any:
    """A session, and its first run if there is a message for it."""
    params, gateway = call.params, call.gateway
    key = canonical_key(call, params.optional_text("key") or f"dashboard:{uuid.uuid4()}")
    agent_id = resolve_agent_id(agent_of_key(key, gateway.settings), gateway.settings)
    given = {name: params.given[name] for name in ("label", "model", "thinkingLevel") if name in params.given}
    session = gateway.store.index.patch(key, agent_id, load_changes(given, gateway))
    return {
        "ok": True,
        "key": key,
        "agentId": agent_id,
        "sessionId": session.session_id,
        "entry": dump_entry(session),
        "resolved": _resolved(session, gateway),
        **_first_run(call, session),
    }


def patch(call: Call) -> Any:
    gateway, key = call.gateway, named_key(call)
    changes = load_changes(call.params.given, gateway)
    if needs_admin(changes):
        require(call.peer.principal, ADMIN)
    session = gateway.store.index.patch(key, agent_of_key(key, gateway.settings), changes)
    return {
        "ok": True,
        "path": store_path(gateway),
        "key": key,
        "entry": dump_entry(session),
        "resolved": _resolved(session, gateway),
    }


def reset(call: Call) -> Any:
    gateway, key = call.gateway, named_key(call)
    end_runs(gateway, key, "The session begins anew.")
    if not gateway.store.index.reset(key):
        gateway.store.index.patch(key, agent_of_key(key, gateway.settings), {})
    session = gateway.store.index.describe(key)
    return {"ok": True, "key": key, "entry": dump_entry(session) if session is not None else {}}


def delete(call: Call) -> Any:
    gateway, key = call.gateway, named_key(call)
    if key == main_session_key(gateway.settings):
        raise InvalidRequest(f"Cannot delete the main session ({key}).")
    end_runs(gateway, key, "The session was deleted.")
    return {"ok": True, "key": key, "deleted": gateway.store.index.delete(key), "archived": []}


def compact(call: Call) -> Any:
    gateway, key = call.gateway, named_key(call)
    most = call.params.integer("maxLines", DEFAULT_LINES, 1)
    end_runs(gateway, key, "The session is being compacted.")
    before = gateway.store.transcripts.length(key)
    if not before:
        return {"ok": True, "key": key, "compacted": False, "reason": "no transcript"}
    kept = gateway.store.transcripts.compact(key, most)
    return {"ok": True, "key": key, "compacted": kept < before, "kept": kept}


def end_runs(gateway: Gateway, key: str, why: str) -> None:
    """Stop what goes on in a session, and wait until it is stored. Raises ServiceUnavailable."""
    runs = gateway.runs.in_session(key)
    for run in runs:
        run.abort(RunAborted(why))
    deadline = time.monotonic() + STOP_SECONDS
    if not all(run.wait(max(0.0, deadline - time.monotonic())) for run in runs):
        raise ServiceUnavailable(f"Session {key} is still active; try again in a moment.", retry_after=1)


def _first_run(call: Call, session: StoredSession) -> dict[str, Any]:
    message = call.params.optional_text("message")
    if not message:
        return {"runStarted": False}
    call.peer.watch_session(session.key)
    run = call.gateway.runs.start(
        RunRequest(
            route=Route(session.agent_id, session.key, "key"),
            messages=(Message("user", user_content(message, call)),),
            source="ws",
            model=session.settings.get("model"),
            principal=call.peer.principal,
            run_id=call.params.optional_text("idempotencyKey"),
            starter=call.peer.id,
        )
    )
    return {"runStarted": True, "runId": run.id}


def _resolved(session: StoredSession, gateway: Gateway) -> dict[str, str]:
    return dump_model(model_of(gateway, session.agent_id, session.settings.get("model")))
