"""The official `openai` package for JavaScript."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.interop.conftest import RunScript, StartScript
from tests.support import weather
from tests.support.provider import ScriptedProvider, cut, hang, respond, text

pytestmark = pytest.mark.timeout(600)  # the first test installs the client


def test_plain_and_streamed_answers(run_js: RunScript) -> None:
    said = run_js("answers.mjs")
    plain = said["plain"]
    assert plain["object"] == "chat.completion"
    assert plain["choices"][0]["message"] == {"role": "assistant", "content": "echo: hi"}
    assert plain["choices"][0]["finish_reason"] == "stop"
    assert plain["usage"]["total_tokens"] == 9
    assert said["streamed"] == "echo: hi"
    assert said["gathered"]["choices"][0]["message"]["content"] == "echo: hi"


def test_a_stream_with_usage_tells_it_once_and_last(run_js: RunScript) -> None:
    *chunks, last = run_js("answers.mjs")["withUsage"]
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (7, 2)


def test_models_are_listed_and_found(run_js: RunScript) -> None:
    said = run_js("models.mjs")
    assert said["listed"] == ["openclaw", "openclaw/default", "openclaw/main", "openclaw/beta"]
    assert said["found"]["id"] == "openclaw/beta"
    assert said["found"]["object"] == "model"


@pytest.mark.parametrize("user", ["", "session"])
@pytest.mark.parametrize("way", ["plain", "stream"])
def test_a_tool_loop_by_hand(run_js: RunScript, provider: ScriptedProvider, way: str, user: str) -> None:
    provider.plays(weather.ASKS, weather.TELLS)
    whose = [f"js-{way}"] if user else []
    said = run_js("tools.mjs", way, weather.QUESTION, *whose)
    assert said["calls"] == [
        ["call_paris", "get_weather", '{"city":"Paris"}'],
        ["call_rome", "get_weather", '{"city":"Rome"}'],
    ]
    assert said["reasons"] == ["tool_calls", "stop"]
    assert said["answer"] == weather.ANSWER
    assert provider.requests[0]["tools"] == [weather.TOOL]
    assert provider.requests[1]["messages"] == weather.SHOWN


@pytest.mark.parametrize("way", ["plain", "stream"])
def test_the_tool_loop_that_the_package_runs(run_js: RunScript, provider: ScriptedProvider, way: str) -> None:
    provider.plays(weather.ASKS, weather.TELLS)
    said = run_js("run_tools.mjs", way, weather.QUESTION)
    assert said["answer"] == weather.ANSWER
    assert provider.requests[1]["messages"] == weather.SHOWN


@pytest.mark.parametrize(("way", "outcome"), [("plain", "APIUserAbortError"), ("stream", "ended")])
def test_an_abort_reaches_the_provider(
    start_js: StartScript, provider: ScriptedProvider, way: str, outcome: str
) -> None:
    provider.plays([hang()] if way == "plain" else [text("begun"), hang()])
    with start_js("abort.mjs", way) as script:
        provider.wait_for_requests(1)
        script.stdin.write("leave\n")
        script.stdin.flush()
        assert json.loads(script.stdout.readline()) == outcome
        provider.wait_for_leaving(seconds=1)
        assert script.poll() is None
        script.kill()


def test_refusals_are_of_the_right_class(run_js: RunScript, provider: ScriptedProvider) -> None:
    said = run_js("failures.mjs", "refusals")
    assert seen(said["wrongKey"]) == ("AuthenticationError", 401, "unauthorized", None)
    assert seen(said["badValue"]) == ("BadRequestError", 400, "invalid_request_error", "temperature")
    assert seen(said["badValueStreaming"]) == seen(said["badValue"])
    assert seen(said["noMessage"])[:2] == ("BadRequestError", 400)
    assert said["noMessage"]["code"] == "missing_message"
    assert seen(said["unknownModel"])[:2] == ("NotFoundError", 404)
    assert said["unknownModel"]["code"] == "model_not_found"
    assert seen(said["unknownModelRetrieved"])[:2] == ("NotFoundError", 404)
    assert provider.requests == []


def test_a_rate_limit_keeps_the_providers_time(run_js: RunScript, provider: ScriptedProvider) -> None:
    provider.always([respond(429, {"error": {"message": "slow down"}}, Retry_After="17")])
    said = run_js("failures.mjs", "rate_limit")["plain"]
    assert seen(said) == ("RateLimitError", 429, "rate_limit_error", None)
    assert said["code"] == "rate_limit_exceeded"
    assert said["retryAfter"] == "17"


def test_a_failure_in_mid_stream_is_thrown_after_what_was_said(
    run_js: RunScript, provider: ScriptedProvider
) -> None:
    provider.plays([text("half an ans"), cut()])
    said = run_js("failures.mjs", "mid_stream")
    assert said["heard"] == "half an ans"
    assert said["stream"]["kind"] == "APIError"
    assert said["stream"]["code"] == "upstream_truncated"


def seen(error: dict[str, Any]) -> tuple[str, int, str, str | None]:
    return error["kind"], error["status"], error["type"], error["param"]
