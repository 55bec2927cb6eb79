"""The routes of sessions that read, set and empty; copies of sessions have theirs in `copies.py`."""

from __future__ import annotations

from typing import Any

import orjson

from app.auth.grants import require_method
from app.control.session_settings import load_changes, require_changes
from app.errors import NotFound, UnsupportedValue
from app.exchange import GatewayRequest, GatewayResponse, current_request, json_answer
from app.http.access import require_principal
from app.http.idempotency import answered_once
from app.http.query import count_param, text_param
from app.http.request_body import optional_object, parse_object, read_body
from app.http.sessions.encoder import dump_row, dump_view
from app.http.switches import CHAT_COMPLETIONS, SwitchedBlueprint

DEFAULT_SESSIONS, MAX_SESSIONS = 50, 200
DEFAULT_MESSAGES, MAX_MESSAGES = 50, 1000
DEFAULT_KEPT, MAX_KEPT = 400, 2**31 - 1
MAX_BODY = 64 * 1024

bp = SwitchedBlueprint("sessions", __name__, CHAT_COMPLETIONS)
bp.before_request(require_principal)


@bp.get("/v1/sessions")
def list_sessions() -> GatewayResponse:
    """A page of the caller's sessions, the ones used last first."""
    request = _allowed("sessions.list")
    found = request.gateway.session_views.page(
        request.principal,
        count_param(request, "limit", DEFAULT_SESSIONS, MAX_SESSIONS),
        text_param(request, "after"),
        text_param(request, "search"),
    )
    sessions = [dump_view(one, request.principal) for one in found.sessions]
    return _answer({"sessions": sessions, "hasMore": found.next is not None, "next": found.next})


@bp.get("/v1/sessions/<whole_session_key:name>")
def get_session(name: str) -> GatewayResponse:
    """One session. Raises NotFound."""
    return _show(_allowed("sessions.describe"), name)


@bp.patch("/v1/sessions/<whole_session_key:name>")
def patch_session(name: str) -> GatewayResponse:
    """Set some settings; null clears one. Raises NotFound, InvalidRequest and Forbidden."""
    request = _allowed("sessions.patch")
    body = parse_object(read_body(request, MAX_BODY))
    key = request.gateway.session_views.key(request.principal, name)
    changes = load_changes(body, request.gateway.models)
    require_changes(request.principal, changes)
    request.gateway.sessions.patch(key, changes)
    return _show(request, name)


@bp.delete("/v1/sessions/<whole_session_key:name>")
def delete_session(name: str) -> GatewayResponse:
    """Delete a session with all its messages; its runs are ended. Raises NotFound."""
    request = _allowed("sessions.delete")
    key = request.gateway.session_views.key(request.principal, name)
    if not request.gateway.sessions.delete(key):
        raise NotFound(f"There is no session {name[:200]!r}.")
    return _answer({"key": key, "deleted": True})


@bp.get("/v1/sessions/<session_key:name>/history")
def get_history(name: str) -> GatewayResponse:
    """A page of a session's messages, oldest first. Raises NotFound."""
    request = _allowed("sessions.get")
    before, after = text_param(request, "before"), text_param(request, "after")
    if before is not None and after is not None:
        raise UnsupportedValue("Give `before` or `after`, not both.", param="after")
    limit = count_param(request, "limit", DEFAULT_MESSAGES, MAX_MESSAGES)
    session, page = request.gateway.session_views.messages(request.principal, name, limit, before, after)
    answer = {
        "key": session.key,
        "sessionId": session.session_id,
        "messages": [dump_row(row, session.key) for row in page.rows],
        "hasOlder": page.has_older,
        "hasNewer": page.has_newer,
    }
    return _answer(answer)


@bp.post("/v1/sessions/<session_key:name>/reset")
@answered_once
def reset_session(name: str) -> GatewayResponse:
    """Empty the conversation and keep the settings; the session's runs are ended. Raises NotFound."""
    request = _allowed("sessions.reset")
    optional_object(request, MAX_BODY)
    key = request.gateway.session_views.key(request.principal, name)
    if not request.gateway.sessions.empty(key):
        raise NotFound(f"There is no session {name[:200]!r}.")
    return _show(request, name)


@bp.post("/v1/sessions/<session_key:name>/compact")
@answered_once
def compact_session(name: str) -> GatewayResponse:
    """Keep only the newest messages; the session's runs are ended. Raises NotFound."""
    request = _allowed("sessions.compact")
    most = optional_object(request, MAX_BODY).get("maxMessages")
    if most is None:
        most = DEFAULT_KEPT
    elif isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MAX_KEPT:
        raise UnsupportedValue("`maxMessages` must be a whole number from 1.", param="maxMessages")
    key = request.gateway.session_views.key(request.principal, name)
    done = request.gateway.sessions.compact(key, most)
    return _answer({"key": key, "messages": done.kept, "removed": done.before - done.kept})


def _allowed(method: str) -> GatewayRequest:
    """The request, of a caller who may call that method of the Gateway protocol. Raises MissingScope."""
    request = current_request()
    require_method(request.principal, method)
    return request


def _show(request: GatewayRequest, name: str) -> GatewayResponse:
    return _answer(dump_view(request.gateway.session_views.one(request.principal, name), request.principal))


def _answer(document: dict[str, Any], status: int = 200) -> GatewayResponse:
    return json_answer(orjson.dumps(document), status)
