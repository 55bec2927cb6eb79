"""`POST /tools/invoke`: one call of one tool, without a model (docs/http.md#calling-one-tool)."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint

from app.cancel import Cancel
from app.control.tools import ToolRequest, dump_output
from app.errors import IdempotencyKeyReused, InvalidRequest, NotFound
from app.exchange import GatewayRequest, GatewayResponse, current_request, json_answer
from app.http.access import require_writer
from app.http.connection import ClientWatch, client_left
from app.http.idempotency import answer_once, load_key
from app.http.request_body import parse_json, read_body
from app.runs.idempotency import body_hash, check_key, key_id
from app.sessions.stored import RunKey
from app.tools.base import ToolOutput

MAX_BODY = 2 * 1024 * 1024
STATUS = {"invalid_arguments": 400, "tool_error": 400, "blocked": 403, "fault": 500}
TYPES = {"invalid_arguments": "invalid_request", "blocked": "tool_call_blocked"}

bp = Blueprint("tools", __name__)
bp.before_request(require_writer)


@bp.post("/tools/invoke")
def invoke_tool() -> GatewayResponse:
    """Errors of this endpoint have OpenClaw's envelope: `{"ok": false, "error": {type, message}}`."""
    request = current_request()
    try:
        body = read_body(request, MAX_BODY)
        wanted = _load(parse_json(body), request)
        key = _load_key(wanted, request, body)
        if key is None:
            return _call(wanted, request)
        return answer_once(key, request, lambda: _call(wanted, request), _has_been_made)
    except IdempotencyKeyReused as error:
        return _failure(409, error.code, error.message)
    except NotFound as error:
        return _failure(404, "not_found", error.message)
    except InvalidRequest as error:
        if error.code in ("body_too_large", "body_timeout", "unsupported_media_type"):
            raise
        return _failure(400, "invalid_request", error.message)


def _call(wanted: ToolRequest, request: GatewayRequest) -> GatewayResponse:
    cancel = Cancel()
    with ClientWatch(request.environ, lambda: cancel.cancel(client_left())):
        return _answer(request.gateway.tool_calls.invoke(wanted, cancel))


def _has_been_made(answer: GatewayResponse) -> bool:
    """Whether the tool was called, and has answered: also that it failed."""
    status = answer.status_code
    return status == 200 or (status == 400 and b'"type":"tool_error"' in answer.get_data())


def _load_key(wanted: ToolRequest, request: GatewayRequest, body: bytes) -> RunKey | None:
    """The key of the header, or of the body. Raises UnsupportedValue."""
    key, owner = load_key(request), request.principal.owner
    if key is None and wanted.idempotency_key:
        key = check_key(wanted.idempotency_key, "idempotencyKey")
    if key is None:
        return None
    return RunKey(key_id(key, owner, request.path, wanted.session_key), body_hash(body))


def _load(body: Any, request: GatewayRequest) -> ToolRequest:
    """The call in a body. Raises InvalidRequest."""
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    texts = {}
    for key in ("name", "tool", "action", "agentId", "sessionKey", "idempotencyKey"):
        texts[key] = fields.get(key)
        if texts[key] is not None and not isinstance(texts[key], str):
            raise InvalidRequest(f"`{key}` must be a string.")
    name = texts["name"] or texts["tool"]
    if not name:
        raise InvalidRequest("tools.invoke requires name")
    arguments = fields.get("args")
    if arguments is not None and not isinstance(arguments, dict):
        raise InvalidRequest("`args` must be an object.")
    return ToolRequest(
        name=name,
        principal=request.principal,
        source="http",
        arguments=arguments or {},
        action=texts["action"],
        agent_id=texts["agentId"],
        session_key=texts["sessionKey"],
        idempotency_key=texts["idempotencyKey"],
        request_id=request.id,
    )


def _answer(output: ToolOutput) -> GatewayResponse:
    if output.is_error:
        reason = str(output.details.get("reason", "tool_error"))
        message = str(output.details.get("error") or output.text)
        more = {"requiresApproval": True} if output.details.get("requiresApproval") else {}
        return _failure(STATUS.get(reason, 400), TYPES.get(reason, "tool_error"), message, more)
    return json_answer(orjson.dumps({"ok": True, "result": dump_output(output)}))


def _failure(status: int, kind: str, message: str, more: dict[str, Any] | None = None) -> GatewayResponse:
    error = {"type": kind, "message": message, **(more or {})}
    return json_answer(orjson.dumps({"ok": False, "error": error}), status)
