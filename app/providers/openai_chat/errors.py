"""A provider's failures as ours (contract, HTTP section 8). No key, no HTML, nothing long gets through."""

from __future__ import annotations

import math
import re
from typing import Any

import orjson

from app.errors import (
    ContextLengthExceeded,
    GatewayError,
    InsufficientQuota,
    InvalidRequest,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)

MAX_MESSAGE = 2000
_KEY_LIKE = re.compile(
    r"\b(sk|pk|rk|gsk|xai|key)[-_][-_A-Za-z0-9*]{8,}|AIza[-_A-Za-z0-9]{8,}|Bearer\s+\S+", re.IGNORECASE
)
_TOO_LONG = re.compile(
    r"context.{0,12}(length|size|window)|maximum context|too many tokens|prompt is too long", re.IGNORECASE
)


def error_from_status(status: int, body: bytes, retry_after: str | None, secret: str | None) -> GatewayError:
    """The error of an answer whose status is not 200."""
    message, code = _message_and_code(body, secret)
    said = f": {message}" if message else "."
    match status:
        case 400 | 413 | 422:
            return _refused(message or f"The provider refused the request ({status}).", code)
        case 401 | 403:
            # Its message may quote the key, so it stays out.
            return UpstreamError(
                f"The provider refused the gateway's credentials ({status}). Check the provider's API key."
            )
        case 402:
            return InsufficientQuota(f"The provider's account has no credit left{said}")
        case 404:
            return UpstreamError(f"The provider does not know this model or address (404){said}")
        case 408 | 504:
            return UpstreamTimeout(f"The provider timed out ({status}){said}")
        case 429:
            return UpstreamRateLimited(
                f"The provider limits the rate of requests{said}", retry_after=_seconds(retry_after)
            )
        case 500 | 502:
            return UpstreamError(f"The provider failed ({status}){said}", retries=2)
        case _ if status >= 500:
            return UpstreamUnavailable(
                f"The provider is not available ({status}){said}", retry_after=_seconds(retry_after)
            )
        case _ if 300 <= status < 400:
            return UpstreamError(f"The provider redirects ({status}): its base URL is not the right one.")
        case _:
            return UpstreamError(f"The provider answered with status {status}{said}")


def error_from_body(document: dict[str, Any], secret: str | None) -> GatewayError:
    """The error of a stream's error object: its own status if it names one, else a plain failure."""
    error = document["error"]
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": str(error)}
    kind = f"{fields.get('type')} {fields.get('code')}"
    status = next((number for word, number in _KINDS.items() if word in kind), 502)
    for key in ("status", "code", "status_code"):
        named = fields.get(key)
        if isinstance(named, int) and named >= 400:
            status = named
    failure = error_from_status(status, orjson.dumps({"error": fields}), None, secret)
    if isinstance(failure, UpstreamError):
        failure.retries = 0 if status < 500 else failure.retries
    return failure


_KINDS = {
    "context_length": 400,
    "invalid_request": 400,
    "rate_limit": 429,
    "insufficient_quota": 402,
    "authentication": 401,
    "overloaded": 503,
    "unavailable": 503,
    "exceed_context_size": 400,
}


def not_a_completion(content_type: str | None) -> UpstreamError:
    """The error of a 200 that is a web page or the like."""
    shown = (content_type or "no content type").split(";")[0][:80]
    return UpstreamError(
        f"The provider answered with {shown} instead of a chat completion. Is its base URL right?"
    )


def _refused(message: str, code: str | None) -> GatewayError:
    if code in ("context_length_exceeded", "exceed_context_size_error") or _TOO_LONG.search(message):
        return ContextLengthExceeded(message)
    return InvalidRequest(message)


def _message_and_code(body: bytes, secret: str | None) -> tuple[str, str | None]:
    try:
        document = orjson.loads(_first_event(body))
    except orjson.JSONDecodeError:
        return "", None
    error = document.get("error", document) if isinstance(document, dict) else document
    if isinstance(error, str):
        return _clean(error, secret), None
    if not isinstance(error, dict):
        return "", None
    message = error.get("message")
    code = error.get("code") if isinstance(error.get("code"), str) else error.get("type")
    return _clean(message if isinstance(message, str) else "", secret), code if isinstance(
        code, str
    ) else None


def _first_event(body: bytes) -> bytes:
    """Some servers wrap even their errors in an event."""
    return body[5:].split(b"\n\n")[0] if body.startswith(b"data:") else body


def _clean(message: str, secret: str | None) -> str:
    if secret:
        message = message.replace(secret, "[key]")
    return _KEY_LIKE.sub("[key]", message)[:MAX_MESSAGE]


def _seconds(retry_after: str | None) -> float | None:
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None  # the date form: the caller's own back-off is as good
    return max(0.0, seconds) if math.isfinite(seconds) else None
