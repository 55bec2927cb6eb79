"""An error within an answer whose status was 200, as an error of ours.

OpenAI documents the object at https://platform.openai.com/docs/guides/error-codes; other servers put words of
their own, or a status, into it.
"""

from __future__ import annotations

from app.errors import GatewayError
from app.providers.http.error_message import read_error
from app.providers.http.secrets import Secrets
from app.providers.http.status_errors import error_from_text

# Parts of an error's `type`, `code` or `status`, and the HTTP status that they stand for.
_STATUS_OF_KIND = {
    "context_length": 400,
    "exceed_context_size": 400,
    "invalid_request": 400,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "badrequest": 400,
    "authentication": 401,
    "unauthenticated": 401,
    "insufficient_quota": 402,
    "permission": 403,
    "not_found": 404,
    "rate_limit": 429,
    "resource_exhausted": 429,
    "throttling": 429,
    "too_many_requests": 429,
    "deadline_exceeded": 504,
    "timeout": 504,
    "modelnotready": 503,
    "overloaded": 503,
    "unavailable": 503,
}


def error_from_body(document: object, secrets: Secrets | None) -> GatewayError:
    """The error for a document that is one: by the status it has, else by its `type` or `code`, else a
    failure.

    `secrets` are removed from its message.
    """
    text = read_error(document)
    by_kind = next((status for word, status in _STATUS_OF_KIND.items() if word in text.kind), 502)
    return error_from_text(text.status or by_kind, text, None, secrets)
