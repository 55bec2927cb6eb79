"""`python -m app agent --local`: what it prints where, and its exit codes."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli.exit_codes import (
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_TRY_AGAIN,
    EXIT_USAGE,
    exit_code,
)
from app.cli.main import main
from app.errors import (
    ConfigError,
    Draining,
    GatewayError,
    InternalError,
    InvalidRequest,
    Overloaded,
    RunAborted,
    SessionBusy,
    StorageUnavailable,
    UnknownAgent,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
)

SCRIPTS = {
    "echo": [{"text": "You said: "}, {"text": "{last}"}, {"text": " ({count})"}],
    "empty": [],
    "usage": [{"text": "hi"}, {"usage": {"promptTokens": 7, "completionTokens": 2}}, {"finish": "length"}],
    "busy": [{"error": {"status": 429, "message": "slow down", "retryAfter": 60}}],
    "down": [{"error": {"status": 401}}],
    "half": [{"text": "half"}, {"cut": True}],
    "hang": [{"text": "half"}, {"hang": True}],
}
AGENTS = [{"id": "main", "default": True}, *({"id": name, "model": f"test/{name}"} for name in SCRIPTS)]
CONFIG = {
    "models": {"providers": {"test": {"api": "scripted", "scripts": SCRIPTS}}},
    # Without tools and prompt, so that the model is sent the message alone.
    "agents": {
        "defaults": {"model": "test/echo", "tools": {"deny": ["*"]}, "systemPrompt": ""},
        "list": AGENTS,
    },
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home with the configuration above; the process's logging is restored afterwards."""
    for name in list(os.environ):
        if name.startswith(("OPENCLAW_", "CLAWDBOT_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    for name in ("PORT", "DATABASE_URL", "REDIS_URL", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OPENCLAW_CONFIG_PATH", str(tmp_path / "openclaw.json"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openclaw.json").write_text(json.dumps(CONFIG))
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield tmp_path
    root.handlers[:] = handlers
    root.setLevel(level)


class Result:
    """A command's exit code, and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        self.code = main(["agent", "--local", *words])
        self.out, self.err = capsys.readouterr()

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *words: Result(capsys, *words)


@pytest.mark.parametrize("words", [("-m", "hi"), ("--message", "hi"), ("-m", "hi", "--stream")])
def test_the_answer_and_nothing_else_is_printed(run: Any, words: tuple[str, ...]):
    result = run(*words)
    assert (result.code, result.out, result.err) == (EXIT_OK, "You said: hi (1)\n", "")


def test_an_empty_answer_is_an_empty_line(run: Any):
    assert run("-m", "hi", "--agent", "empty").out == "\n"


def test_an_answer_as_json(run: Any):
    result = run("-m", "hï", "--json", "--agent", "USAGE")
    (document,) = result.lines
    assert result.code == EXIT_OK
    assert document.pop("runId").startswith("run_")
    assert document.pop("sessionKey").startswith("agent:usage:openai:")
    assert document == {
        "agent": "usage",
        "text": "hi",
        "finishReason": "length",
        "usage": {"promptTokens": 7, "completionTokens": 2, "totalTokens": 9, "estimated": False},
    }


def test_a_stream_as_json_is_one_object_a_line(run: Any):
    *deltas, final = run("-m", "hi", "--json", "--stream").lines
    assert deltas == [{"type": "delta", "text": text} for text in ("You said: ", "hi", " (1)")]
    assert (final["type"], final["text"], final["usage"]["estimated"]) == ("final", "You said: hi (1)", True)


def test_a_session_is_continued_only_if_it_is_named(run: Any):
    for count in (1, 3, 5):
        assert run("-m", "hi", "--session-key", "chat").out == f"You said: hi ({count})\n"
    assert run("-m", "hi", "--session-key", "main").out == "You said: hi (1)\n"
    assert run("-m", "hi").out == "You said: hi (1)\n"
    key = run("-m", "hi", "--json", "--session-key", "Chat").lines[0]["sessionKey"]
    assert key == "agent:main:chat"


def test_without_a_model_the_demonstration_answers(run: Any, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.providers.local.weights.installed", lambda: False)
    (home / "openclaw.json").write_text("{}")
    result = run("-m", "hello there")
    assert result.code == EXIT_OK
    assert "demonstration" in result.out
    assert "hello there" in result.out


# Standard input


def type_in(monkeypatch: pytest.MonkeyPatch, data: bytes, encoding: str = "utf-8") -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding=encoding))


@pytest.mark.parametrize("text", ["hi", "two\nlines\n", "ä🦞", "  as it stands  "])
def test_a_dash_reads_the_message(run: Any, monkeypatch: pytest.MonkeyPatch, text: str):
    type_in(monkeypatch, text.encode())
    assert run("-m", "-").out == f"You said: {text} (1)\n"


@pytest.mark.parametrize("data", [b"", b" \n", b"\xff\xfe"])
def test_an_empty_or_invalid_message_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch, data: bytes):
    type_in(monkeypatch, data)
    result = run("-m", "-")
    assert (result.code, result.out) == (EXIT_USAGE, "")
    assert result.err.startswith("error: The message is ")


@pytest.mark.parametrize("message", ["", "  ", "\udcff", "a\udcffb"])
def test_an_invalid_message_argument_is_refused(run: Any, message: str):
    result = run("-m", message, "--json")
    assert result.code == EXIT_USAGE
    assert set(result.lines[0]["error"]) == {"code", "message"}


# Failures


FAILURES = [
    (("--agent", "nobody"), EXIT_USAGE, "unknown_agent"),
    (("--session-key", "agent:echo:x"), EXIT_USAGE, "invalid_session_key"),
    (("--session-key", "cron:x"), EXIT_USAGE, "invalid_session_key"),
    (("--agent", "busy"), EXIT_TRY_AGAIN, "rate_limit_exceeded"),
    (("--agent", "down"), EXIT_FAILED, "upstream_error"),
    (("--agent", "half"), EXIT_FAILED, "upstream_truncated"),
]


@pytest.mark.parametrize(("words", "code", "error"), FAILURES)
def test_a_failure_is_printed_on_standard_error(run: Any, words: tuple[str, ...], code: int, error: str):
    result = run("-m", "hi", *words)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("error: ")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(("words", "code", "error"), FAILURES)
@pytest.mark.parametrize("stream", [(), ("--stream",)])
def test_a_failure_as_json(run: Any, words: tuple[str, ...], code: int, error: str, stream: tuple[str, ...]):
    result = run("-m", "hi", "--json", *words, *stream)
    assert result.code == code
    assert result.lines[-1]["error"]["code"] == error
    assert result.lines[-1]["error"]["message"] in result.err


def test_what_was_printed_before_a_failure_stays_on_a_line_of_its_own(run: Any):
    result = run("-m", "hi", "--agent", "half", "--stream")
    assert (result.code, result.out) == (EXIT_FAILED, "half\n")


@pytest.mark.parametrize("text", ["{", '{"agents": 5}', '{"nonsense": 1}'])
def test_a_wrong_configuration(run: Any, home: Path, text: str):
    (home / "openclaw.json").write_text(text)
    result = run("-m", "hi")
    assert (result.code, result.out) == (EXIT_CONFIG, "")
    assert "openclaw.json" in result.err


@pytest.mark.parametrize("words", [(), ("-m",), ("-m", "hi", "--nonsense"), ("hi",)])
def test_wrong_arguments(run: Any, words: tuple[str, ...]):
    with pytest.raises(SystemExit) as caught:
        run(*words)
    assert caught.value.code == EXIT_USAGE


def test_no_command_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]):
    assert main([]) == EXIT_USAGE
    assert "agent" in capsys.readouterr().err


def test_an_interrupt_stops_the_run(run: Any):
    printed: Any = sys.stdout

    def interrupt() -> None:
        while "half" not in printed.getvalue():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    start = time.monotonic()
    result = run("-m", "hi", "--agent", "hang", "--session-key", "chat", "--stream")
    assert (result.code, result.out) == (EXIT_INTERRUPTED, "half")
    assert time.monotonic() - start < 60


def test_verbose_logs_to_standard_error(run: Any):
    result = run("-m", "hi", "--verbose")
    assert result.out == "You said: hi (1)\n"
    assert "run finished" in result.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), EXIT_CONFIG),
        (InvalidRequest("x"), EXIT_USAGE),
        (UnknownAgent("x"), EXIT_USAGE),
        (SessionBusy("x"), EXIT_TRY_AGAIN),
        (Overloaded("x"), EXIT_TRY_AGAIN),
        (UpstreamRateLimited("x"), EXIT_TRY_AGAIN),
        (StorageUnavailable("x"), EXIT_TRY_AGAIN),
        (Draining("x"), EXIT_TRY_AGAIN),
        (UpstreamError("x"), EXIT_FAILED),
        (UpstreamTimeout("x"), EXIT_FAILED),
        (RunAborted("x"), EXIT_FAILED),
        (InternalError("x"), EXIT_FAILED),
    ],
)
def test_exit_codes(error: GatewayError, code: int):
    assert exit_code(error) == code
