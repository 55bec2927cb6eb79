"""Log lines: one line each, no secrets, and JSON that parses."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.logs import lines as logs
from app.logs.lines import MAX_FIELD, JsonFormatter, TextFormatter, log_event, logging_config
from app.logs.redaction import REDACTED, redact

CANARY = "canary-0123456789"


@pytest.fixture(autouse=True)
def _no_request() -> Iterator[None]:
    token = logs.request_id.set(None)
    yield
    logs.request_id.reset(token)


def record(
    message: str, *args: object, error: BaseException | None = None, **fields: Any
) -> logging.LogRecord:
    trace = (type(error), error, None) if error else None
    made = logging.LogRecord("app.test", logging.INFO, "x.py", 1, message, args, trace)
    made.fields = fields
    return made


def text(message: str, *args: object, **fields: Any) -> str:
    return TextFormatter().format(record(message, *args, **fields))


def document(message: str, *args: object, **fields: Any) -> dict[str, Any]:
    line = JsonFormatter().format(record(message, *args, **fields))
    assert len(line.splitlines()) == 1
    loaded: dict[str, Any] = json.loads(line)
    return loaded


@pytest.mark.parametrize(
    "leaky",
    [
        f"Bearer {CANARY}",
        f"bearer   {CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"authorization: Basic {CANARY}",
        f"AUTHORIZATION={CANARY}",
        f'{{"Authorization": "Bearer {CANARY}"}}',
        f"{{'authorization': 'Bearer {CANARY}'}}",
        f"('Authorization', 'Bearer {CANARY}')",
        f"x-api-key: {CANARY}",
        f"api_key={CANARY}",
        f'{{"apiKey":"{CANARY}"}}',
        f"{{'api-key': '{CANARY}'}}",
        f"OPENAI_API_KEY={CANARY}",
        f"GET /v1/models?token={CANARY}&x=1",
        f"http://h/?x=1&password={CANARY}",
        f"http://h/#token={CANARY}",
        f"http://h/?key={CANARY}",
        "sk-" + CANARY,
        "sk-proj-" + CANARY,
        "the key is gsk-" + CANARY,
        "xai-" + CANARY,
    ],
)
def test_credentials_are_taken_out(leaky: str):
    assert CANARY not in redact(leaky)
    assert REDACTED in redact(leaky)
    assert CANARY not in text(leaky)
    assert CANARY not in text("x", value=leaky)
    assert CANARY not in json.dumps(document(leaky))
    assert CANARY not in json.dumps(document("%s", leaky, value=leaky, error=ValueError(leaky)))


@pytest.mark.parametrize(
    "value", [{"Authorization": f"Bearer {CANARY}"}, [f"Bearer {CANARY}"], Exception("Bearer " + CANARY)]
)
def test_credentials_inside_of_other_values_are_taken_out(value: object):
    assert CANARY not in text("x", value=value)
    assert CANARY not in json.dumps(document("x", value=value))


@pytest.mark.parametrize(
    "harmless",
    [
        "run finished",
        "prompt_tokens=5",
        "risk-free-and-more",
        "ask-me-anything",
        "the bearer",
        "tokens: 5",
        "a?b=c",
    ],
)
def test_the_rest_stays(harmless: str):
    assert redact(harmless) == harmless


def test_what_surrounds_a_credential_stays():
    assert redact(f"GET /x?token={CANARY}&y=1 HTTP") == f"GET /x?token={REDACTED}&y=1 HTTP"
    assert redact(f'{{"apiKey":"{CANARY}","a":1}}') == f'{{"apiKey":"{REDACTED}","a":1}}'


BREAKS = ["\n", "\r", "\r\n", "\x00", "\x0b", "\x0c", "\x1b[2K", "\x85", "\u2028", "\u2029", "\x7f"]


@pytest.mark.parametrize("char", BREAKS)
def test_nothing_looks_like_a_line_of_its_own(char: str):
    forged = f"a{char}12:00:00 INFO app: forged"
    for line in (text(forged), text("%s", forged), text("x", value=forged), text("x", value=[forged])):
        assert len(line.splitlines()) == 1
        assert not set(line) & set("\r\x00\x1b\x7f")
    assert document("x", value=forged)["value"] == forged


def test_fields_are_told_beside_the_message():
    line = text("run %s", "finished", run_id="chatcmpl_1", total=5)
    assert line.endswith("INFO    app.test: run finished run_id=chatcmpl_1 total=5")
    found = document("run %s", "finished", run_id="chatcmpl_1", total=5, ok=True)
    assert found.pop("ts").endswith("Z")
    assert found == {
        "level": "info",
        "logger": "app.test",
        "message": "run finished",
        "run_id": "chatcmpl_1",
        "total": 5,
        "ok": True,
    }


def test_the_requests_id_is_on_every_line():
    logs.request_id.set("req_1")
    assert text("x").endswith("request_id=req_1")
    assert document("x")["request_id"] == "req_1"
    assert document("x", request_id="req_2")["request_id"] == "req_2"


def test_long_values_are_cut():
    assert len(text("m" * 10_000, value="v" * 10_000)) < 3 * MAX_FIELD
    assert len(document("m" * 10_000)["message"]) == MAX_FIELD
    assert len(document("m", value="v" * 10_000)["value"]) == MAX_FIELD


def test_exceptions_are_told_without_credentials():
    error = ValueError(f"Bearer {CANARY}")
    assert REDACTED in document("x", error=error)["exception"]
    assert text("x", error=error).splitlines()[1] == f"ValueError: Bearer {REDACTED}"


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",
        "a\udcff",
        2**80,
        float("nan"),
        {1: 2},
        {"a": {1}},
        Path("/x"),
        b"\xff",
        object(),
        ("a", 1),
        "ä🦞",
    ],
)
def test_any_value_makes_valid_json(value: object):
    assert "value" in document("m %s", value, value=value)


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_makes_one_line_and_valid_json(message: str, value: str):
    assert len(TextFormatter().format(record("%s", message, value=value)).splitlines()) == 1
    assert document("%s", message, value=value)["level"] == "info"


def test_fields_that_are_none_are_left_out(caplog: pytest.LogCaptureFixture):
    logger = logging.getLogger("app.test")
    with caplog.at_level(logging.INFO, "app.test"):
        log_event(logger, logging.INFO, "x", run_id="r", model=None, seconds=0)
        log_event(logger, logging.DEBUG, "not asked for")
    assert [one.fields for one in caplog.records] == [{"run_id": "r", "seconds": 0}]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("style", "is_terminal", "formatter"),
    [
        ("text", False, TextFormatter),
        ("json", True, JsonFormatter),
        (None, True, TextFormatter),
        (None, False, JsonFormatter),
    ],
)
def test_people_get_text_and_machines_json(
    monkeypatch: pytest.MonkeyPatch, style: Any, is_terminal: bool, formatter: type[logging.Formatter]
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    config = logging_config("info", style)
    assert config["formatters"]["line"]["()"] is formatter
    assert config["root"]["level"] == "INFO"
