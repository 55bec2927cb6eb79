"""Builds the document: components from the schemas, and one operation for each route."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import fields

from app import VERSION
from app.http.fields import MAX_INTEGER
from app.http.openapi import (
    answer_schemas,
    approval_schemas,
    message_schemas,
    request_schemas,
    run_schemas,
    session_schemas,
)
from app.http.openapi.headers import RUN_HEADERS, answer_headers, request_headers
from app.http.openapi.message_schemas import ref
from app.http.openapi.operations import COMMON, answering, errors, headers, json_of
from app.http.openapi.run_operations import add_runs
from app.http.openapi.session_operations import add_sessions
from app.metrics import CONTENT_TYPE

CHAT = (400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 429, 500, 502, 503, 504)
DECIDE = (400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 429, 500, 503)
OPEN = (403, 405, 500)  # errors of routes that need no secret

DESCRIPTION = """\
Agents behind the OpenAI API. The endpoints under `/v1`, but for `/v1/approvals`, are there when \
`gateway.http.endpoints.chatCompletions.enabled` is true. Every error has the same envelope. With \
`gateway.auth.mode` `none` or `trusted-proxy` no bearer secret is needed."""

STREAM = """\
With `"stream": true`: lines `data: ` + a `ChatCompletionChunk`, each followed by an empty line. First the \
role, then the pieces, one chunk with `finish_reason`, one with `usage` if `stream_options.include_usage`, \
and `data: [DONE]`. A failure after the first byte is `data: ` + an `Error`, then `data: [DONE]`. Lines that \
begin with `:` are keep-alives."""


@cache
def dump_document() -> bytes:
    """The document as JSON, built at the first request; nothing in it depends on the configuration."""
    return orjson.dumps(build_document())


def build_document() -> dict[str, Any]:
    """The document as plain Python objects."""
    plugin = MarshmallowPlugin()
    spec = APISpec(
        "OpenClaw Gateway",
        VERSION,
        "3.1.0",
        [plugin],
        info={"description": DESCRIPTION},
        servers=[{"url": "/"}],
        security=[{"bearer": []}],
    )
    assert plugin.converter is not None
    plugin.converter.add_attribute_function(_bound)  # type: ignore[no-untyped-call]
    _add_components(spec)
    _add_operations(spec)
    return spec.to_dict()


def _bound(_converter: object, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(field, fields.Integer):
        return {}
    return {"minimum": ret.get("minimum", -MAX_INTEGER), "maximum": ret.get("maximum", MAX_INTEGER)}


def _add_components(spec: APISpec) -> None:
    components = spec.components
    components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    for name, header in answer_headers().items():
        components.header(name, header)
    for name, parameter in request_headers().items():
        components.parameter(name, "header", parameter)
    schemas = (request_schemas, answer_schemas, approval_schemas, run_schemas, session_schemas)
    for schema in (one for each in schemas for one in each.COMPONENTS):
        if schema.__name__ not in components.schemas:  # a nested one was added with its parent
            components.schema(schema.__name__, schema=schema)
    components.schema("StreamEvent", answer_schemas.STREAM_EVENT)
    components.schema("RunStreamEvent", run_schemas.RUN_STREAM)
    for name, union in message_schemas.unions().items():
        components.schema(name, union)


def _add_operations(spec: APISpec) -> None:
    chat = {
        "summary": "Let an agent answer",
        "operationId": "createChatCompletion",
        "parameters": list(request_headers()),
        "requestBody": {"required": True, "content": json_of("ChatCompletionRequest")},
        "responses": {
            "200": {
                "description": f"The answer. {STREAM}",
                "headers": headers(
                    *("X-Request-Id", *RUN_HEADERS, "Idempotent-Replayed"),
                    "X-OpenClaw-Usage",
                    "Server-Timing",
                ),
                "content": {
                    **json_of("ChatCompletion"),
                    "text/event-stream": {"schema": ref("StreamEvent")},
                },
            },
            "202": {
                "description": "With `background`: the run goes on by itself.",
                "headers": headers(
                    "X-Request-Id", *RUN_HEADERS, "Idempotent-Replayed", "Location", "Server-Timing"
                ),
                "content": json_of("RunAccepted"),
            },
            **errors(CHAT, *RUN_HEADERS, "Idempotent-Replayed", "Server-Timing"),
        },
    }
    spec.path("/v1/chat/completions", operations={"post": chat})
    listing = answering("The agents, as models", "listModels", "ModelList", COMMON)
    spec.path("/v1/models", operations={"get": listing})
    name = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    one = {**answering("One of them, by any of its names", "getModel", "Model", COMMON), "parameters": [name]}
    spec.path("/v1/models/{id}", operations={"get": one})
    _add_tool_operation(spec)
    _add_approvals(spec)
    add_runs(spec)
    add_sessions(spec)
    _add_open_operations(spec)


def _add_tool_operation(spec: APISpec) -> None:
    any_object = {"application/json": {"schema": {"type": "object"}}}
    call = {"tool": {"type": "string"}, "name": {"type": "string"}, "args": {"type": "object"}}
    call |= {key: {"type": "string"} for key in ("action", "agentId", "sessionKey", "idempotencyKey")}
    invoke = {
        "summary": "Call one tool of an agent",
        "operationId": "invokeTool",
        "parameters": ["idempotency-key"],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object", "properties": call}}},
        },
        "responses": {
            "200": {
                "description": "`{ok: true, result: {content, details}}`",
                "headers": headers("X-Request-Id"),
                "content": any_object,
            },
            **{
                str(status): {
                    "description": "`{ok: false, error: {type, message}}`",
                    "headers": headers("X-Request-Id"),
                    "content": any_object,
                }
                for status in (400, 403, 404, 409, 500)
            },
            **errors((401, 405, 408, 413, 415, 429, 503)),
        },
    }
    spec.path("/tools/invoke", operations={"post": invoke})


def _add_approvals(spec: APISpec) -> None:
    listing = answering(
        "The calls that wait for approval, oldest first", "listApprovals", "ApprovalList", COMMON
    )
    spec.path("/v1/approvals", operations={"get": listing})
    approval = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    one = answering("One of them, also when it is over", "getApproval", "Approval", COMMON)
    one["parameters"] = [approval]
    decide = answering("Decide it; the first answer counts", "resolveApproval", "Approval", DECIDE)
    decide["parameters"] = [approval]
    decide["requestBody"] = {"required": True, "content": json_of("ApprovalDecision")}
    spec.path("/v1/approvals/{id}", operations={"get": one, "post": decide})


def _add_open_operations(spec: APISpec) -> None:
    for path in ("/health", "/healthz"):
        health = answering("Liveness", path[1:], "Health", OPEN)
        spec.path(path, operations={"get": {**health, "security": []}})
    verbose = {"name": "verbose", "in": "query", "schema": {"type": "string"}, "allowEmptyValue": True}
    for path in ("/ready", "/readyz"):
        ready = answering("Readiness", path[1:], "Readiness", OPEN)
        ready["responses"]["503"] = {
            **ready["responses"]["200"],
            "description": "Not now; `failing` says why.",
        }
        spec.path(path, operations={"get": {**ready, "security": [], "parameters": [verbose]}})
    metrics = answering("Metrics for Prometheus", "metrics", "Error", COMMON)
    metrics["responses"]["200"]["content"] = {CONTENT_TYPE.partition(";")[0]: {"schema": {"type": "string"}}}
    metrics["security"] = [{"bearer": []}, {}]  # none with gateway.metrics.public
    spec.path("/metrics", operations={"get": metrics})
    document = answering("This document", "openapi", "Document", OPEN)
    document["responses"]["200"]["content"] = {"application/json": {"schema": {"type": "object"}}}
    spec.path("/openapi.json", operations={"get": {**document, "security": []}})
