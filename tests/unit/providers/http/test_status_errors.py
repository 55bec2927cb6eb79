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
from app.providers.http.status_errors import MAX_MESSAGE, error_from_status, unexpected_content_type

SECRET = "provider-key-canary"


def error(
    status: int, body: Any = b"", retry_after: str | None = None, secret: str | None = SECRET
) -> GatewayError:
    return error_from_status(
        status, body if isinstance(body, bytes) else json.dumps(body).encode(), retry_after, secret
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
        (error_body(["x"]), "The provider refused the request (400)."),
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
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_conversation_that_is_too_long_has_an_error_of_its_own(status: int, body: Any):
    assert type(error(status, body)) is ContextLengthExceeded


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


@pytest.mark.parametrize("status", [401, 403])
def test_no_message_about_credentials_is_passed_on(status: int):
    assert "quoted" not in error(status, error_body("your key is quoted here")).message


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
