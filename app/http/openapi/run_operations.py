"""The operations of `/v1/runs`."""

from __future__ import annotations

from typing import Any

from apispec import APISpec

from app.control.run_views import STATES
from app.http.openapi.message_schemas import ref
from app.http.openapi.operations import COMMON, answering, errors, headers
from app.http.openapi.session_operations import LIMIT

READ = (400, *COMMON, 503)
CANCEL = (400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 503)
NUMBER = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}

ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The run's id, percent-encoded.",
    "schema": {"type": "string", "minLength": 1},
}


def add_runs(spec: APISpec) -> None:
    """Add them to the document."""
    listing = answering("The caller's runs, newest first", "listRuns", "RunList", READ)
    state = {"name": "state", "in": "query", "schema": {"type": "string", "enum": list(STATES)}}
    listing["parameters"] = [_text("session"), _text("key"), state, LIMIT, _text("after")]
    spec.path("/v1/runs", operations={"get": listing})
    one = answering("A run, and its answer", "getRun", "WholeRun", READ)
    spec.path("/v1/runs/{id}", operations={"get": {**one, "parameters": [ID]}})
    spec.path("/v1/runs/{id}/events", operations={"get": _follow()})
    cancel = answering("Stop a run", "cancelRun", "WholeRun", CANCEL)
    spec.path("/v1/runs/{id}/cancel", operations={"post": {**cancel, "parameters": [ID]}})


def _follow() -> dict[str, Any]:
    last = {"name": "Last-Event-ID", "in": "header", "description": "Wins over `after`.", "schema": NUMBER}
    stream = {"text/event-stream": {"schema": ref("RunStreamEvent")}}
    return {
        "summary": "Follow a run's events",
        "operationId": "followRun",
        "parameters": [ID, {"name": "after", "in": "query", "schema": NUMBER}, last],
        "responses": {
            "200": {
                "description": "The events behind that number, to the end of the run.",
                "headers": headers("X-Request-Id"),
                "content": stream,
            },
            "204": {
                "description": "The run has ended, and there are no more events.",
                "headers": headers("X-Request-Id"),
            },
            **errors((*READ, 410)),
        },
    }


def _text(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string"}}
