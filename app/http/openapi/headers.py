"""The headers of requests and answers, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any

from app.http.headers import PREFIXES

TEXT = {"type": "string"}
SECONDS = {"type": "integer", "minimum": 1}

ANSWER_HEADERS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "X-Request-Id": ("The request's own, or a new one; it is in the log as well.", TEXT, True),
    "X-OpenClaw-Run-Id": ("The run; the `id` of the answer.", TEXT, False),
    "X-OpenClaw-Agent-Id": ("Who answered.", TEXT, False),
    "X-OpenClaw-Session-Key": ("The session, percent-encoded where it is not plain ASCII.", TEXT, False),
    "X-OpenClaw-Session-Source": (
        "What chose the session: `new` (nothing is stored), `user` or `key`.",
        {"type": "string", "enum": ["new", "user", "key"]},
        False,
    ),
    "Idempotent-Replayed": (
        "An earlier request with the same `Idempotency-Key` has begun this answer.",
        {"type": "string", "const": "true"},
        False,
    ),
    "X-OpenClaw-Usage": (
        "`estimated` if the provider counted no tokens. Not on streams, whose headers leave first.",
        {"type": "string", "enum": ["estimated"]},
        False,
    ),
    "Server-Timing": (
        "Milliseconds: `queue`, `first-token`, `total`, as far as they are known.",
        TEXT,
        False,
    ),
    "Location": ("Where the run is: `/v1/runs/{id}`.", TEXT, False),
    "Retry-After": ("Seconds to wait before trying again.", SECONDS, False),
    "WWW-Authenticate": ("Which scheme to use.", {"type": "string", "const": "Bearer"}, False),
}
RUN_HEADERS = (
    "X-OpenClaw-Run-Id",
    "X-OpenClaw-Agent-Id",
    "X-OpenClaw-Session-Key",
    "X-OpenClaw-Session-Source",
)

_REQUEST_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "agent-id": ("Who answers, whatever `model` says.", {"type": "string", "maxLength": 64}),
    "agent": ("The same under a shorter name.", {"type": "string", "maxLength": 64}),
    "session-key": (
        "The session, whatever `user` says: a name of your own, a full `agent:<agent id>:<name>`, or `main`.",
        {"type": "string", "maxLength": 512},
    ),
    "approvals": (
        "What becomes of calls that need an approval. By default `wait` while an approver is connected.",
        {"type": "string", "enum": ["deny", "wait", "fail"]},
    ),
    "events": (
        "What to show of the run besides its answer: a list of `tools`, `approvals` and `reasoning`.",
        {"type": "string", "examples": ["tools", "tools,approvals,reasoning"]},
    ),
    "keepalive": (
        "Send blanks before a plain answer that takes long; a later failure is an `Error` with status 200.",
        {"type": "string", "enum": ["body"]},
    ),
    "on-disconnect": (
        "What becomes of the run when its client disconnects: `abort` (the default) or `continue`.",
        {"type": "string", "enum": ["abort", "continue"]},
    ),
    "idempotency-key": (
        "Another name of `Idempotency-Key`, which wins.",
        {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
    ),
    "model": ("`provider/model` in place of the agent's own model.", TEXT),
}


IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A key of your own for this request: sent again with it, the request is answered once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
}


def request_headers() -> dict[str, dict[str, Any]]:
    """Parameters by the name of their component. The older `x-clawdbot-…` are marked as deprecated."""
    found = {
        f"{prefix}-{name}": {
            "name": f"x-{prefix}-{name}",
            "in": "header",
            "description": doc
            if prefix == PREFIXES[0]
            else f"The older name of `x-{PREFIXES[0]}-{name}`, which wins.",
            "schema": schema,
            "deprecated": prefix != PREFIXES[0],
        }
        for prefix in PREFIXES
        for name, (doc, schema) in _REQUEST_HEADERS.items()
    }
    found["idempotency-key"] = IDEMPOTENCY_KEY
    found["request-id"] = {
        "name": "X-Request-Id",
        "in": "header",
        "description": "An id of your own for logs and the answer; at most 128 plain characters.",
        "schema": TEXT,
    }
    return found


def answer_headers() -> dict[str, dict[str, Any]]:
    """Header components by the header's name."""
    return {
        name: {"description": doc, "schema": schema, "required": required}
        for name, (doc, schema, required) in ANSWER_HEADERS.items()
    }
