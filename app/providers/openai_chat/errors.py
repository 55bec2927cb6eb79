"""The error object within an answer whose status was 200, as an error of ours.

OpenAI documents the object at https://platform.openai.com/docs/guides/error-codes; other servers put words of
their own, or a status, into it.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.errors import GatewayError, UpstreamError
from app.providers.http.status_errors import error_from_status

# Parts of an error's `type` or `code`, and the status that the provider would have answered with.
_STATUS_OF_KIND = {
    "context_length": 400,
    "invalid_request": 400,
    "rate_limit": 429,
    "insufficient_quota": 402,
    "authentication": 401,
    "overloaded": 503,
    "unavailable": 503,
    "exceed_context_size": 400,
}


def error_from_body(document: dict[str, Any], secret: str | None) -> GatewayError:
    """The error for `document["error"]`, by the status it has, else by its `type` or `code`, else a failure.

    `secret` is the provider's API key, which no message may contain.
    """
    error = document["error"]
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": str(error)}
    kind = f"{fields.get('type')} {fields.get('code')}"
    status = next((number for word, number in _STATUS_OF_KIND.items() if word in kind), 502)
    for key in ("status", "code", "status_code"):
        named = fields.get(key)
        if isinstance(named, int) and named >= 400:
            status = named
    failure = error_from_status(status, orjson.dumps({"error": fields}), None, secret)
    if isinstance(failure, UpstreamError):
        failure.retries = 0 if status < 500 else failure.retries
    return failure
