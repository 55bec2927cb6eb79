"""The routes of copies: fork, export, import."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import orjson

from app.auth.grants import require, require_method
from app.auth.scopes import READ, WRITE
from app.control.session_copies import Export
from app.errors import GatewayError, InternalError, UnsupportedValue
from app.exchange import GatewayResponse, current_request, json_answer
from app.http.access import require_principal
from app.http.idempotency import answered_once
from app.http.query import word_param
from app.http.request_body import optional_object, read_raw_body
from app.http.sessions.export import JsonlWriter, MarkdownWriter, Writer
from app.http.sessions.import_body import load_import
from app.http.sessions.routes import MAX_BODY
from app.http.switches import CHAT_COMPLETIONS, SwitchedBlueprint

logger = logging.getLogger("app.http")

WRITERS: dict[str, type[JsonlWriter | MarkdownWriter]] = {"jsonl": JsonlWriter, "markdown": MarkdownWriter}
MAX_FILE_NAME = 80  # characters
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

bp = SwitchedBlueprint("session_copies", __name__, CHAT_COMPLETIONS)
bp.before_request(require_principal)


@bp.post("/v1/sessions/<session_key:name>/fork")
@answered_once
def fork_session(name: str) -> GatewayResponse:
    """A new session with the conversation up to a message. Raises NotFound and SessionConflict."""
    request = current_request()
    require_method(request.principal, "sessions.fork")
    message_id = optional_object(request, MAX_BODY).get("messageId")
    if message_id is not None and not isinstance(message_id, str):
        raise UnsupportedValue("`messageId` must be a string: the id of a message.", param="messageId")
    return _created({"key": request.gateway.session_copies.fork(request.principal, name, message_id)})


@bp.get("/v1/sessions/<session_key:name>/export")
def export_session(name: str) -> GatewayResponse:
    """The whole session as a file, streamed. Raises NotFound."""
    request = current_request()
    require(request.principal, READ)
    writer = WRITERS[word_param(request, "format", *WRITERS)]()
    export = request.gateway.session_copies.export(request.principal, name)
    response = GatewayResponse(
        _stream(export, writer), headers=HEADERS, content_type=writer.content_type, direct_passthrough=True
    )
    file_name = _file_name(export.session.key)
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name}.{writer.extension}"'
    return response


@bp.post("/v1/sessions/import")
@answered_once
def import_session() -> GatewayResponse:
    """Store a conversation in a new session. Raises InvalidRequest."""
    return _import(None)


@bp.post("/v1/sessions/<session_key:name>/import")
@answered_once
def import_into_session(name: str) -> GatewayResponse:
    """Store a conversation in that session, which has none. Raises InvalidRequest and SessionConflict."""
    return _import(name)


def _import(name: str | None) -> GatewayResponse:
    request = current_request()
    require(request.principal, WRITE)
    limits = request.gateway.settings.gateway.chat_completions
    given = load_import(read_raw_body(request, limits.max_body_bytes), limits)
    done = request.gateway.session_copies.import_as(request.principal, name, given)
    skipped = {"messages": given.skipped, "settings": list(done.skipped_settings)}
    return _created({"key": done.key, "messages": done.messages, "skipped": skipped})


def _stream(export: Export, writer: Writer) -> Iterator[bytes]:
    yield writer.begin(export)
    try:
        for piece in export.pieces:
            yield writer.messages(piece)
    except GatewayError as error:
        yield writer.broken(error)
        return
    except Exception:
        logger.exception("an export failed on a fault of the gateway")
        yield writer.broken(InternalError("The gateway failed on this request."))
        return
    yield writer.end()


def _file_name(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", key)[:MAX_FILE_NAME].strip("-.") or "session"


def _created(document: dict[str, Any]) -> GatewayResponse:
    return json_answer(orjson.dumps(document), 201)
