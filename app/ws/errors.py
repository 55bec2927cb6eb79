"""The one table from our codes to the Gateway protocol's (docs/websocket.md#errors)."""

from __future__ import annotations

from typing import Any

from app.errors import GatewayError

INVALID_REQUEST, UNAVAILABLE, FORBIDDEN = "INVALID_REQUEST", "UNAVAILABLE", "FORBIDDEN"

WS_CODES: dict[str, str] = {
    "invalid_request": INVALID_REQUEST,
    "invalid_json": INVALID_REQUEST,
    "missing_message": INVALID_REQUEST,
    "unknown_agent": INVALID_REQUEST,
    "invalid_session_key": INVALID_REQUEST,
    "unsupported_value": INVALID_REQUEST,
    "context_length_exceeded": INVALID_REQUEST,
    "body_too_large": INVALID_REQUEST,
    "body_timeout": INVALID_REQUEST,
    "unsupported_media_type": INVALID_REQUEST,
    "not_found": INVALID_REQUEST,
    "model_not_found": INVALID_REQUEST,
    "endpoint_disabled": INVALID_REQUEST,
    "method_not_allowed": INVALID_REQUEST,
    "no_tools_allowed": INVALID_REQUEST,
    "approval_already_resolved": INVALID_REQUEST,
    "approval_expired": INVALID_REQUEST,
    "idempotency_key_reused": INVALID_REQUEST,
    "events_gone": INVALID_REQUEST,
    "session_conflict": INVALID_REQUEST,
    "unauthorized": INVALID_REQUEST,
    "forbidden": FORBIDDEN,
    "origin_not_allowed": FORBIDDEN,
    "host_not_allowed": FORBIDDEN,
    "missing_scope": FORBIDDEN,
    "approval_required": FORBIDDEN,
    "too_many_requests": UNAVAILABLE,
    "session_busy": UNAVAILABLE,
    "overloaded": UNAVAILABLE,
    "auth_rate_limited": UNAVAILABLE,
    "provider_error": UNAVAILABLE,
    "upstream_error": UNAVAILABLE,
    "upstream_truncated": UNAVAILABLE,
    "tool_choice_unmet": UNAVAILABLE,
    "timeout": UNAVAILABLE,
    "rate_limit_exceeded": UNAVAILABLE,
    "insufficient_quota": UNAVAILABLE,
    "service_unavailable": UNAVAILABLE,
    "run_aborted": UNAVAILABLE,
    "max_turns": UNAVAILABLE,
    "tool_loop": UNAVAILABLE,
    "tool_timeout": UNAVAILABLE,
    "internal_error": UNAVAILABLE,
    "config_error": INVALID_REQUEST,
}


class ProtocolError(GatewayError):
    """An error whose `details` clients evaluate. `ws_code` is its code in the protocol."""

    code = "invalid_request"

    def __init__(self, message: str, details: dict[str, Any], ws_code: str = INVALID_REQUEST) -> None:
        super().__init__(message)
        self.details = details
        self.ws_code = ws_code


def dump_error(error: GatewayError) -> dict[str, Any]:
    """The `error` of a response."""
    if isinstance(error, ProtocolError):
        return {"code": error.ws_code, "message": error.message, "details": error.details}
    fields: dict[str, Any] = {"code": WS_CODES[error.code], "message": error.message or error.code}
    if fields["code"] == UNAVAILABLE:
        fields["details"] = {"code": error.code}
    if error.retry_after is not None:
        fields |= {"retryable": True, "retryAfterMs": int(error.retry_after * 1000)}
    return fields
