"""The many forms in which providers write why they failed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.errors import GatewayError
from app.providers.http.error_message import read_error_body
from app.providers.openai_chat.errors import error_from_body

VALIDATION = {"type": "missing", "loc": ["body", "messages", 0], "msg": "Field required"}
RAW = {"message": "Provider returned error", "code": 400, "metadata": {"raw": "no tools"}}


def message(body: Any, content_type: str | None = "application/json") -> str:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_error_body(data, content_type).message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"message": "why"}}, "why"),
        ({"error": "why"}, "why"),
        ([{"error": {"code": 400, "message": "why", "status": "INVALID_ARGUMENT"}}], "why"),
        ({"detail": "why"}, "why"),
        ({"detail": [VALIDATION]}, "messages.0: Field required"),
        ({"detail": [VALIDATION, {"msg": "x", "loc": []}]}, "messages.0: Field required; x"),
        ({"detail": {"error": "why"}}, "why"),
        ({"object": "error", "message": {"detail": [VALIDATION]}}, "messages.0: Field required"),
        ({"errors": [{"code": 7003, "message": "why"}], "success": False}, "why"),
        ({"errors": ["why", "and"]}, "why; and"),
        ({"msg": "why", "code": 1214}, "why"),
        ({"Message": "why"}, "why"),
        ({"error": "invalid_grant", "error_description": "why"}, "why"),
        ({"error": True, "message": "why"}, "why"),
        ({"error": {}, "message": "why"}, "why"),
        ({"error": {"message": "why"}, "message": "Bad Request"}, "why"),
        ({"type": "about:blank", "title": "Bad Request", "detail": "why", "status": 400}, "why"),
        ({"error": {"code": "model_not_found", "message": ""}}, "model_not_found"),
        ({"error": {"message": None, "type": "server_error"}}, "server_error"),
        ({"error": RAW}, "Provider returned error: no tools"),
        (
            {"error": {**RAW, "metadata": {"raw": '{"error":{"message":"why"}}', "provider_name": "P"}}},
            "Provider returned error (P): why",
        ),
        ({"error": {"message": '{\n "error": {"code": 400, "message": "why"}}'}}, "why"),
        ({"error": {"message": "[ERROR] why"}}, "[ERROR] why"),
        (b'{"message":"why","code":400}\nFor help see https://example.com\n', "why"),
        (b'\xef\xbb\xbf {"message": "why"}', "why"),
        (b'data: {"error": {"message": "why"}}\n\ndata: [DONE]\n\n', "why"),
        (b': waiting\n\nevent: error\ndata: {"message": "why"}\n\n', "why"),
        (b'{"detail":[{"msg":"Field required","input":"' + b"x" * 100, "Field required"),
        (b'"why"', "why"),
        ({"error": {"message": "two\nlines\x1b[31m \ud800"}}, "two lines [31m"),
        ({"error": None}, ""),
        ({"error": {"message": 5}}, ""),
        (b"5", ""),
        (b"null", ""),
        (b"", ""),
        (b"[" * 10_000, ""),
        (b'{"error":' * 10_000, ""),
        (b'{"n":' + b"9" * 10_000 + b"}", ""),
    ],
)
def test_the_message_is_found_in_every_form(body: Any, expected: str):
    assert message(body) == expected


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (
            b"Failed to deserialize the JSON body",
            "text/plain; charset=utf-8",
            "Failed to deserialize the JSON body",
        ),
        (b"[ERROR] no such model\n", "text/plain", "[ERROR] no such model"),
        (b'"m" is not served here', "text/plain", '"m" is not served here'),
        (b"Forbidden", "application/json", "Forbidden"),
        (b"Forbidden", None, ""),
        (b"<!doctype html><title>no</title>", "text/plain", ""),
        (b"<html>no</html>", "text/html", ""),
        (b"\x1f\x8b\x08\xff\xfe compressed", "text/plain", ""),
    ],
)
def test_plain_text_is_a_message_and_a_web_page_is_none(body: bytes, content_type: str | None, expected: str):
    assert message(body, content_type) == expected


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"error": {"message": "x", "code": 429}}, "rate_limit_exceeded"),
        ({"error": {"message": "x", "code": "429"}}, "rate_limit_exceeded"),
        ([{"error": {"message": "x", "code": 429}}], "rate_limit_exceeded"),
        ({"error": {"message": "x", "status": "RESOURCE_EXHAUSTED"}}, "rate_limit_exceeded"),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, "insufficient_quota"),
        ({"object": "error", "message": "x", "type": "BadRequestError", "code": 400}, "invalid_request"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, "service_unavailable"),
        ({"error": {"message": "x", "type": "context_length_exceeded"}}, "context_length_exceeded"),
        ({"error": {"message": "Input is too long for requested model."}}, "context_length_exceeded"),
        ({"error": {"message": "x", "code": 1214}}, "upstream_error"),
        ({"error": "x"}, "upstream_error"),
        ({"error": True}, "upstream_error"),
    ],
)
def test_an_error_in_an_answer_of_status_200_has_the_status_that_it_names(document: Any, code: str):
    found = error_from_body(document, None)
    assert isinstance(found, GatewayError)
    assert found.code == code
