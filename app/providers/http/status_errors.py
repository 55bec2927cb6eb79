"""A provider's answer with a status other than 200, as an error of ours.

The table is documented in docs/http.md#when-the-models-provider-fails. Messages of providers are passed on
without API keys, without HTML and cut to MAX_MESSAGE characters.
"""

from __future__ import annotations

import re

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
from app.providers.http.error_message import ErrorText, read_error_body
from app.providers.http.secrets import REMOVED, Secrets

MAX_MESSAGE = 2000  # characters
MAX_CONTENT_TYPE = 80  # characters

_KEY_LIKE = re.compile(
    r"\b(sk|pk|rk|gsk|xai|key)[-_][-_A-Za-z0-9*]{8,}|AIza[-_A-Za-z0-9]{8,}|Bearer\s+\S+", re.IGNORECASE
)
# How providers say that a conversation does not fit: OpenAI, Anthropic, Bedrock, Gemini, GLM, xAI, Groq,
# Mistral, Kimi, MiniMax, DashScope, Cohere, vLLM, TGI, llama.cpp, LM Studio, Ollama and others.
_TOO_LONG = re.compile(
    r"context.{0,12}(length|size|window|limit)|maximum context|too many tokens|model token limit"
    r"|(prompt|input|conversation|messages?) (is |are )?too (long|large)"
    r"|(prompt|input|token count)(?!.{0,20}(image|audio|file)).{0,60}exceed.{0,20}(max|limit|allowed)"
    r"|maximum (prompt|input|model) length|longer than the (maximum|model)|range of input length"
    r"|(prompt|input|conversation|messages?) length too (long|large)|context shift is disabled"
    r"|token count (is|of) .{0,40}only supports|token count.{0,30}cannot exceed|in request more than max"
    r"|(number of|total) tokens.{0,40}exceed|exceeds? max(imum)? (message )?token|max size: [0-9]+ tokens"
    r"|`inputs` must have less than|max input characters is|expected maxlength: [0-9]+, actual: [0-9]{5}"
    r"|reduce the length of the (messages|prompt|input)|`inputs` tokens \+ `max_new_tokens`",
    re.IGNORECASE,
)
_TOO_LONG_KINDS = re.compile(
    r"context_length|context_size|context_window|prompt_tokens_exceeded|request_too_large|\b1261\b"  # GLM
)
_TOO_LARGE = re.compile(r"too (long|large)|exceed|maximum|reduce|limit", re.IGNORECASE)
_NO_CREDIT = re.compile(
    r"insufficient (balance|credit|fund)|credit balance is too low|(no|out of|all available) credits"
    r"|any credits|spending limit|account is in arrears|billing hard limit|balance is insufficient"
    r"|not enough (balance|credit|fund)|requires more credits|(included|monthly) credits"
    r"|credit limit exceeded|overdue balance|account is in good standing|payment required|余额不足",
    re.IGNORECASE,
)
_NO_CREDIT_KINDS = re.compile(
    r"insufficient_(quota|balance|credit|fund)|billing_(hard_limit|not_active)|exceeded_current_quota"
    r"|billing_error|arrearage|accountoverdue|payment_required|not_enough_balance"
    r"|\b1113\b"  # GLM
)
_QUOTA = re.compile(r"exceeded your current quota.{0,40}billing", re.IGNORECASE)  # OpenAI, but also
_QUOTA_REFILLS = re.compile(r"retry in|rate.limit|per.(minute|day)", re.IGNORECASE)  # Gemini with each limit


def error_from_status(
    status: int,
    body: bytes,
    retry_after: float | None,
    secrets: Secrets | None,
    content_type: str | None = None,
) -> GatewayError:
    """The error for an answer with `status`, which is not 200.

    `retry_after` is in seconds; `secrets` are removed from its message;
    `content_type` is the header as sent, None if there is none.
    """
    return error_from_text(status, read_error_body(body, content_type), retry_after, secrets)


def error_from_text(
    status: int, text: ErrorText, retry_after: float | None, secrets: Secrets | None
) -> GatewayError:
    """The same for an error whose body has been read already."""
    text = text._replace(message=_clean(text.message, secrets))
    retry_after = text.retry_after if retry_after is None else retry_after
    if status not in (401, 404):
        if _lacks_credit(text):
            return InsufficientQuota(f"The provider's account has no credit left{_detail(text)}")
        if _is_too_long(status, text):
            return ContextLengthExceeded(text.message or "The conversation is too long for the model.")
    return _by_status(status, text, retry_after)


def _by_status(status: int, text: ErrorText, retry_after: float | None) -> GatewayError:
    detail = _detail(text)
    match status:
        case 400 | 413 | 422:
            return InvalidRequest(text.message or f"The provider refused the request ({status}).")
        case 401:
            # Its message may quote the key, so it is not passed on.
            return UpstreamError(
                f"The provider refused the gateway's credentials ({status}). Check the provider's API key."
            )
        case 402:
            return InsufficientQuota(f"The provider's account has no credit left{detail}")
        case 403:
            return UpstreamError(f"The provider denies access to this model or from here (403){detail}")
        case 404:
            return UpstreamError(f"The provider does not know this model or address (404){detail}")
        case 408 | 504:
            return UpstreamTimeout(f"The provider timed out ({status}){detail}")
        case 429:
            return UpstreamRateLimited(
                f"The provider limits the rate of requests{detail}", retry_after=retry_after
            )
        case 500 | 502:
            return UpstreamError(f"The provider failed ({status}){detail}", retries=2)
        case _ if status >= 500:
            return UpstreamUnavailable(
                f"The provider is not available ({status}){detail}", retry_after=retry_after
            )
        case _:
            redirects = 300 <= status < 400
            who = "The proxy of the provider" if status == 407 else "The provider"
            why = ": its base URL is not the right one." if redirects else detail
            return UpstreamError(f"{who} {'redirects' if redirects else 'answered'} ({status}){why}")


def unexpected_content_type(content_type: str | None, expected: str) -> UpstreamError:
    """The error for an answer with status 200 that is not `expected` but a web page or the like."""
    shown = (content_type or "no content type").split(";")[0][:MAX_CONTENT_TYPE]
    return UpstreamError(f"The provider answered with {shown} instead of {expected}. Is its base URL right?")


def _lacks_credit(text: ErrorText) -> bool:
    """Whether paying helps and waiting does not, whatever the status: OpenAI says so with 429."""
    if _NO_CREDIT_KINDS.search(text.kind) or _NO_CREDIT.search(text.message):
        return True
    refills = "resource_exhausted" in text.kind or _QUOTA_REFILLS.search(text.message)
    return not refills and bool(_QUOTA.search(text.message))


def _is_too_long(status: int, text: ErrorText) -> bool:
    if status not in (400, 413, 422, 500, 502):
        return False
    if status == 413 and _TOO_LARGE.search(text.message):
        return True
    return bool(_TOO_LONG_KINDS.search(text.kind) or _TOO_LONG.search(text.message))


def _detail(text: ErrorText) -> str:
    return f": {text.message}" if text.message else "."


def _clean(message: str, secrets: Secrets | None) -> str:
    if secrets is not None:
        message = secrets.remove_from(message)
    return _KEY_LIKE.sub(REMOVED, message)[:MAX_MESSAGE]
