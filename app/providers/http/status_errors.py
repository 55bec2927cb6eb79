"""A provider's answer with a status other than 200, as an error of ours.

The table is documented in docs/http.md#when-the-models-provider-fails. Messages of providers are passed on
without API keys, without HTML and cut to MAX_MESSAGE characters.
"""

from __future__ import annotations

import math
import re

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

MAX_MESSAGE = 2000  # characters
MAX_CONTENT_TYPE = 80  # characters

_KEY_LIKE = re.compile(
    r"\b(sk|pk|rk|gsk|xai|key)[-_][-_A-Za-z0-9*]{8,}|AIza[-_A-Za-z0-9]{8,}|Bearer\s+\S+", re.IGNORECASE
)
_TOO_LONG = re.compile(
    r"context.{0,12}(length|size|window)|maximum context|too many tokens|prompt is too long", re.IGNORECASE
)
_TOO_LONG_CODES = ("context_length_exceeded", "exceed_context_size_error")


def error_from_status(status: int, body: bytes, retry_after: str | None, secret: str | None) -> GatewayError:
    """The error for an answer with `status`, which is not 200.

    `retry_after` is the header as sent; `secret` is the provider's API key, which no message may contain.
    """
    message, code = _message_and_code(body, secret)
    detail = f": {message}" if message else "."
    match status:
        case 400 | 413 | 422:
            return _refused(message or f"The provider refused the request ({status}).", code)
        case 401 | 403:
            # Its message may quote the key, so it is not passed on.
            return UpstreamError(
                f"The provider refused the gateway's credentials ({status}). Check the provider's API key."
            )
        case 402:
            return InsufficientQuota(f"The provider's account has no credit left{detail}")
        case 404:
            return UpstreamError(f"The provider does not know this model or address (404){detail}")
        case 408 | 504:
            return UpstreamTimeout(f"The provider timed out ({status}){detail}")
        case 429:
            return UpstreamRateLimited(
                f"The provider limits the rate of requests{detail}", retry_after=_seconds(retry_after)
            )
        case 500 | 502:
            return UpstreamError(f"The provider failed ({status}){detail}", retries=2)
        case _ if status >= 500:
            return UpstreamUnavailable(
                f"The provider is not available ({status}){detail}", retry_after=_seconds(retry_after)
            )
        case _ if 300 <= status < 400:
            return UpstreamError(f"The provider redirects ({status}): its base URL is not the right one.")
        case _:
            return UpstreamError(f"The provider answered with status {status}{detail}")


def unexpected_content_type(content_type: str | None, expected: str) -> UpstreamError:
    """The error for an answer with status 200 that is not `expected` but a web page or the like."""
    shown = (content_type or "no content type").split(";")[0][:MAX_CONTENT_TYPE]
    return UpstreamError(f"The provider answered with {shown} instead of {expected}. Is its base URL right?")


def _refused(message: str, code: str | None) -> GatewayError:
    if code in _TOO_LONG_CODES or _TOO_LONG.search(message):
        return ContextLengthExceeded(message)
    return InvalidRequest(message)


def _message_and_code(body: bytes, secret: str | None) -> tuple[str, str | None]:
    """What most providers send: `{"error": {"message": …, "code" or "type": …}}`, or a part of that."""
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
    return (
        _clean(message if isinstance(message, str) else "", secret),
        code if isinstance(code, str) else None,
    )


def _first_event(body: bytes) -> bytes:
    """The JSON of a body that some servers send as a server-sent event, though it is an error."""
    return body[5:].split(b"\n\n")[0] if body.startswith(b"data:") else body


def _clean(message: str, secret: str | None) -> str:
    if secret:
        message = message.replace(secret, "[key]")
    return _KEY_LIKE.sub("[key]", message)[:MAX_MESSAGE]


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds; None if it is missing, unreadable or a date (our own pause does as well)."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
