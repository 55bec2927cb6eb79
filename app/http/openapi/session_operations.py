"""The operations of `/v1/sessions`."""

from __future__ import annotations

from typing import Any

from apispec import APISpec

from app.http.openapi.operations import COMMON, answering, json_of

READ = (400, *COMMON, 503)
CHANGE = (400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 503)

ONCE = "idempotency-key"  # the parameter of that name
KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "A session's key, full or bare, percent-encoded.",
    "schema": {"type": "string", "minLength": 1},
}
FORMAT = {"name": "format", "in": "query", "schema": {"enum": ["jsonl", "markdown"]}}
MESSAGES = {"type": "array", "items": {"type": "object"}, "minItems": 1}
IMPORTED = {
    "application/json": {
        "schema": {
            "anyOf": [
                MESSAGES,
                {"type": "object", "required": ["messages"], "properties": {"messages": MESSAGES}},
            ]
        }
    },
    "application/x-ndjson": {"schema": {"type": "string"}},
}
LIMIT = {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}}


def add_sessions(spec: APISpec) -> None:
    """Add them to the document."""
    listing = answering("The caller's sessions, newest first", "listSessions", "SessionList", READ)
    listing["parameters"] = [_text("search"), LIMIT, _text("after")]
    spec.path("/v1/sessions", operations={"get": listing})
    change = _with_key(answering("Set some settings of a session", "patchSession", "Session", CHANGE))
    change["requestBody"] = {"required": True, "content": json_of("SessionPatch")}
    delete = answering("Delete a session", "deleteSession", "SessionDeleted", READ)
    operations = {
        "get": _with_key(answering("A session, and what goes on in it", "getSession", "Session", READ)),
        "patch": change,
        "delete": _with_key(delete),
    }
    spec.path("/v1/sessions/{key}", operations=operations)
    history = answering("A session's messages, page by page", "getHistory", "SessionHistory", READ)
    history["parameters"] = [KEY, LIMIT, _text("before"), _text("after")]
    spec.path("/v1/sessions/{key}/history", operations={"get": history})
    reset = _with_key(answering("Empty a session", "resetSession", "Session", (*CHANGE, 409)))
    reset["parameters"] = [KEY, ONCE]
    spec.path("/v1/sessions/{key}/reset", operations={"post": reset})
    compact = _with_key(
        answering("Keep only the newest messages", "compactSession", "SessionCompacted", (*CHANGE, 409))
    )
    compact["requestBody"] = {"content": json_of("SessionCompact")}
    compact["parameters"] = [KEY, ONCE]
    spec.path("/v1/sessions/{key}/compact", operations={"post": compact})
    _add_copies(spec)


def _add_copies(spec: APISpec) -> None:
    fork = _with_key(_created("Copy a session up to a message", "forkSession", "SessionForked"))
    fork["requestBody"] = {"content": json_of("SessionFork")}
    fork["parameters"] = [KEY, ONCE]
    spec.path("/v1/sessions/{key}/fork", operations={"post": fork})
    export = answering("A session as a file", "exportSession", "Error", READ)
    export["parameters"] = [KEY, FORMAT]
    export["responses"]["200"]["content"] = {
        "application/x-ndjson": {"schema": {"type": "string"}},
        "text/markdown": {"schema": {"type": "string"}},
    }
    spec.path("/v1/sessions/{key}/export", operations={"get": export})
    for path, name in (("/v1/sessions/{key}/import", "importSession"), ("/v1/sessions/import", "importNew")):
        operation = _created("Store a conversation", name, "SessionImported")
        operation["requestBody"] = {"required": True, "content": IMPORTED}
        operation["parameters"] = [KEY, ONCE] if "{" in path else [ONCE]
        spec.path(path, operations={"post": operation})


def _created(summary: str, name: str, schema: str) -> dict[str, Any]:
    operation = answering(summary, name, schema, (*CHANGE, 409))
    operation["responses"]["201"] = operation["responses"].pop("200")
    return operation


def _with_key(operation: dict[str, Any]) -> dict[str, Any]:
    return {**operation, "parameters": [KEY]}


def _text(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string"}}
