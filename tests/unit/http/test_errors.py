"""Every error has a row in the table, and is answered with the envelope."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response
from werkzeug.exceptions import BadRequest

from app import errors
from app.errors import GatewayError
from app.http.errors import HTTP_ERRORS, HttpError, envelope, error_response, register_error_handlers


def all_errors(cls: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from all_errors(sub)


# Packages may have subclasses of their own, with a known code and other constructors.
PLAIN_ERRORS = [cls for cls in all_errors() if cls.__module__ == errors.__name__]


def test_every_code_has_a_row_and_every_row_a_code():
    assert {cls.code for cls in all_errors()} == HTTP_ERRORS.keys()


def test_the_tree_at_the_top_of_the_module_is_complete():
    drawn = errors.__doc__ or ""
    assert [cls.__name__ for cls in PLAIN_ERRORS if cls.__name__ not in drawn] == []


TYPES = {
    400: {"invalid_request_error"},
    401: {"unauthorized"},
    402: {"insufficient_quota"},
    403: {"forbidden"},
    404: {"invalid_request_error"},
    405: {"invalid_request_error"},
    408: {"invalid_request_error"},
    409: {"idempotency_error", "invalid_request_error"},
    410: {"invalid_request_error"},
    413: {"invalid_request_error"},
    415: {"invalid_request_error"},
    429: {"rate_limited", "rate_limit_error"},
    500: {"api_error"},
    502: {"api_error"},
    503: {"api_error"},
    504: {"api_error"},
}


@pytest.mark.parametrize("code", HTTP_ERRORS)
def test_the_type_follows_from_the_status(code: str):
    assert HTTP_ERRORS[code].type in TYPES[HTTP_ERRORS[code].status]


@pytest.mark.parametrize(
    ("cls", "status", "type_", "code"),
    [
        (errors.InvalidRequest, 400, "invalid_request_error", None),
        (errors.InvalidJson, 400, "invalid_request_error", "invalid_json"),
        (errors.MissingMessage, 400, "invalid_request_error", "missing_message"),
        (errors.UnknownAgent, 400, "invalid_request_error", "unknown_agent"),
        (errors.InvalidSessionKey, 400, "invalid_request_error", "invalid_session_key"),
        (errors.UnsupportedValue, 400, "invalid_request_error", "unsupported_value"),
        (errors.ContextLengthExceeded, 400, "invalid_request_error", "context_length_exceeded"),
        (errors.Unauthorized, 401, "unauthorized", None),
        (errors.InsufficientQuota, 402, "insufficient_quota", "insufficient_quota"),
        (errors.Forbidden, 403, "forbidden", None),
        (errors.MissingScope, 403, "forbidden", "missing_scope"),
        (errors.OriginNotAllowed, 403, "forbidden", "origin_not_allowed"),
        (errors.NotFound, 404, "invalid_request_error", "not_found"),
        (errors.ModelNotFound, 404, "invalid_request_error", "model_not_found"),
        (errors.EndpointDisabled, 404, "invalid_request_error", "endpoint_disabled"),
        (errors.MethodNotAllowed, 405, "invalid_request_error", "method_not_allowed"),
        (errors.BodyTimeout, 408, "invalid_request_error", "body_timeout"),
        (errors.IdempotencyKeyReused, 409, "idempotency_error", "idempotency_key_reused"),
        (errors.BodyTooLarge, 413, "invalid_request_error", "body_too_large"),
        (errors.UnsupportedMediaType, 415, "invalid_request_error", "unsupported_media_type"),
        (errors.AuthRateLimited, 429, "rate_limited", "auth_rate_limited"),
        (errors.SessionBusy, 429, "rate_limited", "session_busy"),
        (errors.Overloaded, 429, "rate_limited", "overloaded"),
        (errors.UpstreamRateLimited, 429, "rate_limit_error", "rate_limit_exceeded"),
        (errors.InternalError, 500, "api_error", None),
        (errors.UpstreamError, 502, "api_error", "upstream_error"),
        (errors.UpstreamTruncated, 502, "api_error", "upstream_truncated"),
        (errors.ToolChoiceUnmet, 502, "api_error", "tool_choice_unmet"),
        (errors.UpstreamUnavailable, 503, "api_error", "service_unavailable"),
        (errors.StorageUnavailable, 503, "api_error", "service_unavailable"),
        (errors.Draining, 503, "api_error", "service_unavailable"),
        (errors.UpstreamTimeout, 504, "api_error", "timeout"),
    ],
)
def test_errors_over_http(cls: type[GatewayError], status: int, type_: str, code: str | None):
    assert HTTP_ERRORS[cls.code] == HttpError(status, type_, code)


@pytest.mark.parametrize("cls", PLAIN_ERRORS, ids=lambda cls: cls.__name__)
def test_the_envelope_has_all_four_keys(cls: type[GatewayError]):
    response = error_response(cls("What is wrong."))
    assert response.json is not None
    assert set(response.json) == {"error"}
    assert set(response.json["error"]) == {"message", "type", "param", "code"}
    assert response.json["error"]["message"] == "What is wrong."
    assert response.content_type == "application/json"


def test_the_envelope_has_the_param():
    assert envelope(errors.InvalidRequest("No.", param="messages[0].role"))["error"] == {
        "message": "No.",
        "type": "invalid_request_error",
        "param": "messages[0].role",
        "code": None,
    }


@pytest.mark.parametrize("cls", PLAIN_ERRORS, ids=lambda cls: cls.__name__)
def test_429_always_has_retry_after_and_401_www_authenticate(cls: type[GatewayError]):
    response = error_response(cls("No."))
    assert ("Retry-After" in response.headers) is (response.status_code == 429)
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if response.status_code == 401 else None)


@pytest.mark.parametrize(
    ("seconds", "header"),
    [(None, "1"), (0, "1"), (0.2, "1"), (1, "1"), (1.01, "2"), (30, "30"), (86_400.5, "86401")],
)
def test_retry_after_is_whole_seconds_and_at_least_one(seconds: float | None, header: str):
    assert error_response(errors.SessionBusy("Busy.", retry_after=seconds)).headers["Retry-After"] == header


def test_retry_after_comes_with_any_error_that_has_it():
    assert error_response(errors.Draining("Stopping.", retry_after=5)).headers["Retry-After"] == "5"


@pytest.fixture
def app() -> Flask:
    app = Flask("errors")
    register_error_handlers(app)

    def fails(error: Exception) -> Any:
        def view() -> Response:
            raise error

        return view

    app.add_url_rule("/ours", "ours", fails(errors.SessionBusy("Busy.", retry_after=3)))
    app.add_url_rule("/theirs", "theirs", fails(BadRequest("Bad <b>.")))
    app.add_url_rule("/fault", "fault", fails(ValueError("/etc/secret")))
    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/ours", 429, "session_busy"),
        ("GET", "/theirs", 400, None),
        ("GET", "/fault", 500, None),
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/ours", 405, "method_not_allowed"),
    ],
)
def test_every_failure_is_answered_with_the_envelope(
    app: Flask, method: str, path: str, status: int, code: str | None
):
    response = app.test_client().open(path, method=method)
    assert response.status_code == status
    assert response.content_type == "application/json"
    assert response.json is not None
    assert set(response.json["error"]) == {"message", "type", "param", "code"}
    assert response.json["error"]["code"] == code
    assert "secret" not in response.text


def test_405_lists_the_allowed_methods(app: Flask):
    assert app.test_client().post("/ours").headers["Allow"] == "GET, HEAD, OPTIONS"
