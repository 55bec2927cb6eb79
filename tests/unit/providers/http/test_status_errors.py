"""A provider's failures as errors of ours: the table, and what is never passed on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.errors import (
    ContextLengthExceeded,
    GatewayError,
    InsufficientQuota,
    InvalidRequest,
    ProviderError,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.http.errors import HTTP_ERRORS
from app.providers.http.retry_after import MAX_SECONDS, retry_after_seconds
from app.providers.http.secrets import Secrets
from app.providers.http.status_errors import MAX_MESSAGE, error_from_status, unexpected_content_type

SECRET = "provider-key-canary"


def error(
    status: int, body: Any = b"", retry_after: str | None = None, secret: str | None = SECRET
) -> GatewayError:
    return error_from_status(
        status,
        body if isinstance(body, bytes) else json.dumps(body).encode(),
        retry_after_seconds({"retry-after": retry_after}.get),
        Secrets([secret]) if secret else None,
    )


def error_body(message: Any, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("status", "expected", "answer", "retries"),
    [
        (400, InvalidRequest, 400, 0),
        (413, InvalidRequest, 400, 0),
        (422, InvalidRequest, 400, 0),
        (401, UpstreamError, 502, 0),
        (403, UpstreamError, 502, 0),
        (402, InsufficientQuota, 402, 0),
        (404, UpstreamError, 502, 0),
        (405, UpstreamError, 502, 0),
        (408, UpstreamTimeout, 504, 0),
        (429, UpstreamRateLimited, 429, 2),
        (500, UpstreamError, 502, 2),
        (502, UpstreamError, 502, 2),
        (503, UpstreamUnavailable, 503, 2),
        (504, UpstreamTimeout, 504, 0),
        (529, UpstreamUnavailable, 503, 2),
        (301, UpstreamError, 502, 0),
        (307, UpstreamError, 502, 0),
        (204, UpstreamError, 502, 0),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b'{"error": {"message": "no"}}', b"[]", b'{"error": null}']
)
def test_each_status_has_its_error(
    status: int, expected: type[GatewayError], answer: int, retries: int, body: bytes
):
    found = error(status, body)
    assert type(found) is expected
    assert HTTP_ERRORS[found.code].status == answer
    assert found.message
    assert "html" not in found.message
    if isinstance(found, ProviderError):
        assert found.retries == retries


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (error_body("bad temperature"), "bad temperature"),
        ({"error": "bad temperature"}, "bad temperature"),
        ({"message": "bad temperature", "object": "error"}, "bad temperature"),
        (b'data: {"error": {"message": "bad temperature"}}\n\ndata: [DONE]\n\n', "bad temperature"),
        (error_body(None), "The provider refused the request (400)."),
        (error_body(["x"]), "x"),
        (error_body([5]), "The provider refused the request (400)."),
        (b"not json", "The provider refused the request (400)."),
        (b'"bad temperature"', "bad temperature"),
        (b"5", "The provider refused the request (400)."),
        (b"", "The provider refused the request (400)."),
    ],
)
def test_a_refusal_has_the_message_of_the_provider(body: Any, expected: str):
    assert error(400, body).message == expected


@pytest.mark.parametrize(
    "body",
    [
        error_body("no", code="context_length_exceeded"),
        error_body("no", type="exceed_context_size_error"),
        error_body("This model's maximum context length is 8192 tokens."),
        error_body("Input exceeds the context window."),
        error_body("prompt is too long: 250000 tokens"),
        error_body("the request exceeds the available context size"),
        error_body("Input is too long for requested model."),  # Bedrock
        error_body(
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
        ),  # Gemini
        error_body("Prompt exceeds max length", code="1261"),  # GLM
        error_body("no", code=1261),
        error_body("This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
        error_body("Please reduce the length of the messages or completion."),
        error_body("prompt token count of 135058 exceeds the limit of 128000"),
        error_body("The input (12345 tokens) is longer than the model's context length (8192 tokens)."),
        error_body("Your request exceeded model token limit: 262144"),
        error_body("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]"),
        error_body("`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 and 100"),
        error_body("too many tokens: total number of tokens in the prompt cannot exceed 4081"),
        error_body("Trying to keep the first 5000 tokens when context the overflows; context length 4096"),
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_a_conversation_that_is_too_long_has_an_error_of_its_own(status: int, body: Any):
    assert type(error(status, body)) is ContextLengthExceeded


def test_a_request_that_is_too_large_for_the_model_is_a_conversation_that_is_too_long():
    assert type(error(413, error_body("Request too large for model"))) is ContextLengthExceeded
    assert type(error(413, b"<html><h1>413 Request Entity Too Large</h1></html>")) is InvalidRequest


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "max_tokens (100000) exceeds the maximum allowed (8192)",
        "The input image exceeds the maximum allowed size",
        "Invalid 'tools[0].function.name': string too long",
    ],
)
def test_another_thing_that_is_too_large_is_no_long_conversation(message: str):
    assert type(error(400, error_body(message))) is InvalidRequest


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 418, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "leaky",
    [
        f"Incorrect API key provided: {SECRET}",
        f"x{SECRET}x",
        "Incorrect API key provided: sk-proj-abcdefgh*****ijkl",
        "key sk_live_0123456789abcdef is wrong",
        "gsk_0123456789abcdef",
        "AIzaSyA-0123456789abcdef",
        "Authorization: Bearer 0123456789abcdef",
    ],
)
def test_no_key_is_passed_on(status: int, leaky: str):
    for body in (error_body(leaky), {"error": leaky}, error_body(leaky, code=leaky, type=leaky)):
        message = error(status, body).message
        assert SECRET not in message
        assert "abcdef" not in message


def test_no_message_about_credentials_is_passed_on():
    assert "quoted" not in error(401, error_body("your key is quoted here")).message


def test_a_refusal_of_access_says_why_without_the_key():
    why = f"Country not supported; your key {SECRET} is of the project sk-proj-abcdefgh12345678"
    message = error(403, error_body(why)).message
    assert "Country not supported; your key [key] is of the project [key]" in message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, error_body("You exceeded your current quota", code="insufficient_quota")),
        (429, error_body("You exceeded your current quota", type="insufficient_quota", code=None)),
        (429, [error_body("no", code="insufficient_quota")]),
        (429, error_body("no", code="billing_hard_limit_reached")),
        (429, error_body("no", type="exceeded_current_quota_error")),
        (429, error_body("no", code="1113")),
        (400, error_body("Your credit balance is too low to access the Anthropic API.")),
        (403, {"code": "forbidden", "error": "Your team has used all available credits."}),
        (500, error_body("Insufficient Balance")),
        (402, b""),
    ],
)
def test_a_lack_of_credit_is_no_rate_limit_and_not_tried_again(status: int, body: Any):
    found = error(status, body, retry_after="1")
    assert type(found) is InsufficientQuota
    assert (found.retries, found.retry_after) == (0, None)


@pytest.mark.parametrize(
    "body",
    [
        error_body("Rate limit reached for requests", code="rate_limit_exceeded"),
        error_body("Quota exceeded for metric", code=429, status="RESOURCE_EXHAUSTED"),
        error_body("You exceeded your current quota", code=429, status="RESOURCE_EXHAUSTED"),
        error_body("Too many tokens, please wait before trying again."),
    ],
)
def test_a_rate_limit_is_no_lack_of_credit_and_no_long_conversation(body: Any):
    assert type(error(429, body)) is UpstreamRateLimited


def test_a_long_message_is_cut():
    assert len(error(400, error_body("x" * 100_000)).message) == MAX_MESSAGE


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("5", 5.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("soon", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("inf", None),
        ("1e999", None),
        ("nan", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(status: int, header: str | None, seconds: float | None):
    assert error(status, retry_after=header).retry_after == seconds


@pytest.mark.parametrize(
    ("content_type", "shown"),
    [("text/html; charset=utf-8", "text/html"), (None, "no content type"), ("", "no content type")],
)
def test_a_web_page_is_not_a_completion(content_type: str | None, shown: str):
    found = unexpected_content_type(content_type, "a chat completion")
    assert found.retries == 0
    assert f"with {shown} instead" in found.message
    assert len(unexpected_content_type("x" * 10_000, "a chat completion").message) < 300


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        ("7s", 7.0),
        ("36.14s", 36.14),
        ({"seconds": 12}, 12.0),
        (99**9, MAX_SECONDS),
        ("soon", None),
        (-1, None),
    ],
)
def test_the_pause_that_google_asks_for_is_in_the_body(delay: Any, seconds: float | None):
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    body = [{"error": {"code": 429, "message": "Quota exceeded", "details": [{"@type": "x"}, info]}}]
    found = error_from_status(429, json.dumps(body).encode(), None, None)
    assert isinstance(found, UpstreamRateLimited)
    assert found.retry_after == seconds
    found = error_from_status(429, json.dumps(body).encode(), 3.0, None)
    assert isinstance(found, UpstreamRateLimited)
    assert found.retry_after == 3.0  # the header counts
