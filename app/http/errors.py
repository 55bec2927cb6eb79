"""The one error envelope, and the one table from our error codes to HTTP (docs/http.md#errors)."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import WebsocketMismatch

from app import errors
from app.errors import GatewayError, InternalError
from app.exchange import GatewayResponse, json_answer

logger = logging.getLogger("app.http")

REQUEST_ERROR = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class HttpError:
    """How an error looks over HTTP. `code` is None where the status alone is enough."""

    status: int
    type: str
    code: str | None


HTTP_ERRORS: dict[str, HttpError] = {
    "invalid_request": HttpError(400, REQUEST_ERROR, None),
    "invalid_json": HttpError(400, REQUEST_ERROR, "invalid_json"),
    "missing_message": HttpError(400, REQUEST_ERROR, "missing_message"),
    "unknown_agent": HttpError(400, REQUEST_ERROR, "unknown_agent"),
    "invalid_session_key": HttpError(400, REQUEST_ERROR, "invalid_session_key"),
    "unsupported_value": HttpError(400, REQUEST_ERROR, "unsupported_value"),
    "context_length_exceeded": HttpError(400, REQUEST_ERROR, "context_length_exceeded"),
    "body_too_large": HttpError(413, REQUEST_ERROR, "body_too_large"),
    "body_timeout": HttpError(408, REQUEST_ERROR, "body_timeout"),
    "unsupported_media_type": HttpError(415, REQUEST_ERROR, "unsupported_media_type"),
    "not_found": HttpError(404, REQUEST_ERROR, "not_found"),
    "model_not_found": HttpError(404, REQUEST_ERROR, "model_not_found"),
    "endpoint_disabled": HttpError(404, REQUEST_ERROR, "endpoint_disabled"),
    "method_not_allowed": HttpError(405, REQUEST_ERROR, "method_not_allowed"),
    "no_tools_allowed": HttpError(400, REQUEST_ERROR, "no_tools_allowed"),
    "approval_already_resolved": HttpError(409, REQUEST_ERROR, "approval_already_resolved"),
    "approval_expired": HttpError(410, REQUEST_ERROR, "approval_expired"),
    "events_gone": HttpError(410, REQUEST_ERROR, "events_gone"),
    "idempotency_key_reused": HttpError(409, "idempotency_error", "idempotency_key_reused"),
    "session_conflict": HttpError(409, REQUEST_ERROR, "session_conflict"),
    "unauthorized": HttpError(401, "unauthorized", None),
    "forbidden": HttpError(403, "forbidden", None),
    "origin_not_allowed": HttpError(403, "forbidden", "origin_not_allowed"),
    "host_not_allowed": HttpError(403, "forbidden", "host_not_allowed"),
    "missing_scope": HttpError(403, "forbidden", "missing_scope"),
    "approval_required": HttpError(403, "forbidden", "approval_required"),
    "too_many_requests": HttpError(429, "rate_limited", None),
    "session_busy": HttpError(429, "rate_limited", "session_busy"),
    "overloaded": HttpError(429, "rate_limited", "overloaded"),
    "auth_rate_limited": HttpError(429, "rate_limited", "auth_rate_limited"),
    "provider_error": HttpError(502, "api_error", "upstream_error"),
    "upstream_error": HttpError(502, "api_error", "upstream_error"),
    "upstream_truncated": HttpError(502, "api_error", "upstream_truncated"),
    "tool_choice_unmet": HttpError(502, "api_error", "tool_choice_unmet"),
    "timeout": HttpError(504, "api_error", "timeout"),
    "rate_limit_exceeded": HttpError(429, "rate_limit_error", "rate_limit_exceeded"),
    "insufficient_quota": HttpError(402, "insufficient_quota", "insufficient_quota"),
    "service_unavailable": HttpError(503, "api_error", "service_unavailable"),
    "run_aborted": HttpError(503, "api_error", "run_aborted"),
    "max_turns": HttpError(500, "api_error", "max_turns"),
    "tool_loop": HttpError(500, "api_error", "tool_loop"),
    "tool_timeout": HttpError(504, "api_error", "tool_timeout"),
    "internal_error": HttpError(500, "api_error", None),
    "config_error": HttpError(500, "api_error", None),
}

DEFAULT_RETRY_SECONDS = 1.0


def envelope(error: GatewayError) -> dict[str, Any]:
    """`{"error": {message, type, param, code}}`, always with all four keys."""
    known = HTTP_ERRORS[error.code]
    fields = {"message": error.message, "type": known.type, "param": error.param, "code": known.code}
    return {"error": fields}


def error_response(error: GatewayError) -> GatewayResponse:
    """The error's status, envelope and headers. `Retry-After` is whole seconds, and always there on 429."""
    known = HTTP_ERRORS[error.code]
    response = json_answer(orjson.dumps(envelope(error)), known.status)
    if known.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    retry_after = error.retry_after
    if retry_after is None and known.status == 429:
        retry_after = DEFAULT_RETRY_SECONDS
    if retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    return response


def register_error_handlers(app: Flask) -> None:
    """Make `app` answer every exception with the envelope: ours, Flask's, and unexpected ones as 500."""
    app.register_error_handler(GatewayError, error_response)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _from_fault)


def _from_werkzeug(error: HTTPException) -> GatewayResponse:
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        response = error_response(errors.MethodNotAllowed(f"This address answers to {allowed} only."))
        response.headers["Allow"] = allowed
        return response
    # A path that matches only the WebSocket route does not exist for other requests.
    if error.code == 404 or isinstance(error, WebsocketMismatch):
        return error_response(errors.NotFound("There is nothing at this address."))
    if error.code is not None and error.code < 500:
        return error_response(errors.InvalidRequest(error.description or "The request is malformed."))
    return _from_fault(error)


def _from_fault(error: Exception) -> GatewayResponse:
    logger.error("a request failed on a fault of the gateway", exc_info=error)
    return error_response(InternalError("The gateway failed on this request."))
