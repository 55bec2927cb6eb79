"""The error a caller gets when a provider fails, and what is tried before that."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import Answer, GatewayProcess, config_for, free_port
from tests.support.provider import (
    ScriptedProvider,
    Step,
    cut,
    done,
    finish,
    hang,
    pause,
    raw,
    respond,
    says,
    text,
    wait_until,
)

KEY = "provider-key-canary"


def oops(message: str = "oops", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "some_error", **more}}


TOO_LONG = oops("This model's maximum context length is 10 tokens", code="context_length_exceeded")

FAILURES: list[tuple[str, list[Step], int, str | None, int]] = [
    # what the provider does, its script, our status, our code, how often it is asked
    ("400", [respond(400, oops("bad thing"))], 400, None, 1),
    ("too long", [respond(400, TOO_LONG)], 400, "context_length_exceeded", 1),
    ("401", [respond(401, oops(f"Incorrect API key {KEY}"))], 502, "upstream_error", 1),
    ("403", [respond(403, oops())], 502, "upstream_error", 1),
    ("402", [respond(402, oops())], 402, "insufficient_quota", 1),
    ("404", [respond(404, oops())], 502, "upstream_error", 1),
    ("429 for want of credit", [respond(429, oops(code="insufficient_quota"))], 402, "insufficient_quota", 1),
    ("too large", [respond(413, oops("Request too large for model"))], 400, "context_length_exceeded", 1),
    ("429 for milliseconds", [respond(429, oops(), retry_after_ms="90")], 429, "rate_limit_exceeded", 3),
    ("429", [respond(429, oops(), retry_after="0.1")], 429, "rate_limit_exceeded", 3),
    ("429 for long", [respond(429, oops(), retry_after="60")], 429, "rate_limit_exceeded", 1),
    ("500", [respond(500, oops())], 502, "upstream_error", 3),
    ("502", [respond(502, b"<html>bad gateway</html>", content_type="text/html")], 502, "upstream_error", 3),
    ("503", [respond(503, oops())], 503, "service_unavailable", 3),
    ("504", [respond(504, oops())], 504, "timeout", 1),
    ("a web page", [respond(200, b"<html>hi</html>", content_type="text/html")], 502, "upstream_error", 1),
    ("not json", [respond(200, b"hi there")], 502, "upstream_error", 1),
    ("other json", [respond(200, {"hello": 1})], 502, "upstream_error", 1),
    ("broken events", [raw(b"data: {nonsense\n\n")], 502, "upstream_error", 1),
    ("cut before text", [cut()], 502, "upstream_truncated", 2),
    ("cut after headers", [raw(b": hello\n\n"), cut()], 502, "upstream_truncated", 2),
    ("cut after text", [text("half"), cut()], 502, "upstream_truncated", 1),
    ("no reason, no end", [text("half")], 502, "upstream_truncated", 1),
    (
        "error in the stream",
        [text("half"), raw(b'data: {"error":{"message":"x"}}\n\n')],
        502,
        "upstream_error",
        1,
    ),
]


@pytest.mark.parametrize(
    ("script", "status", "code", "asked"), [one[1:] for one in FAILURES], ids=[one[0] for one in FAILURES]
)
def test_plain(
    gateway: GatewayProcess,
    provider: ScriptedProvider,
    script: list[Step],
    status: int,
    code: str | None,
    asked: int,
) -> None:
    provider.always(script)
    begun = time.monotonic()
    answer = gateway.ask("hi")
    assert (answer.status, answer.error["code"]) == (status, code), answer.body
    assert len(provider.requests) == asked
    assert time.monotonic() - begun < 30
    assert KEY.encode() not in answer.body
    if status == 429:
        assert answer.error["type"] == "rate_limit_error"
        assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["X-OpenClaw-Run-Id"]


@pytest.mark.parametrize(
    ("script", "code", "asked"),
    [(one[1], one[3], one[4]) for one in FAILURES],
    ids=[one[0] for one in FAILURES],
)
def test_streamed(
    gateway: GatewayProcess, provider: ScriptedProvider, script: list[Step], code: str | None, asked: int
) -> None:
    provider.always(script)
    answer = gateway.ask("hi", stream=True)
    assert answer.status == 200
    *chunks, error, end = answer.events()
    assert end == "[DONE]"
    assert error["error"]["code"] == code
    assert set(error["error"]) == {"message", "type", "param", "code"}
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
    streamed = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert streamed == "".join(step[1]["content"] for step in script if step[0] == "delta")
    assert len(provider.requests) == asked


def test_a_missing_done_alone_is_fine(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.always([text("whole"), finish()])
    assert gateway.ask("hi").text == "whole"
    assert gateway.ask("hi", stream=True).events()[-2]["choices"][0]["finish_reason"] == "stop"


def test_the_providers_own_message_is_passed_on(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([respond(400, oops("temperature is not supported by this model"))])
    assert "temperature is not supported" in gateway.ask("hi").error["message"]


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (
            400,
            b'[{"error":{"code":400,"message":"the very reason","status":"INVALID_ARGUMENT"}}]',
            "application/json",
        ),
        (422, b'{"detail":[{"loc":["body","tools"],"msg":"the very reason"}]}', "application/json"),
        (400, b'{"detail":"the very reason"}', "application/json"),
        (400, b'{"error":{"message":"Error","metadata":{"raw":"the very reason"}}}', "application/json"),
        (400, b'{"msg":"the very reason","code":1214}', "application/json"),
        (400, b'{"message":"the very reason"}\nFor help see https://example.com', "application/json"),
        (422, b"the very reason", "text/plain; charset=utf-8"),
        (403, b'{"error":{"message":"the very reason"}}', "application/json"),
        (404, b'{"detail":"the very reason"}', "application/json"),
    ],
)
def test_the_reason_reaches_the_caller_and_the_log_in_every_form(
    gateway: GatewayProcess, provider: ScriptedProvider, status: int, body: bytes, content_type: str
) -> None:
    provider.always([respond(status, body, content_type=content_type)])
    before = len(gateway.log)
    plain = gateway.ask("hi").error["message"]
    streamed = gateway.ask("hi", stream=True).events()[-2]["error"]["message"]
    assert "the very reason" in plain
    assert streamed == plain
    assert gateway.log[before:].count("the very reason") >= 2


def test_a_date_says_when_to_try_again(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    soon = formatdate(time.time() + 600, usegmt=True)
    provider.plays([respond(429, oops(), retry_after=soon)])
    answer = gateway.ask("hi")
    assert answer.error["code"] == "rate_limit_exceeded"
    assert 500 < int(answer.headers["Retry-After"]) <= 600
    assert len(provider.requests) == 1


def test_a_key_is_used_again_after_it_was_refused(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([respond(401, oops())], says("better now"))
    assert gateway.ask("hi").status == 502
    assert gateway.ask("hi").text == "better now"


def test_a_retry_that_succeeds_cannot_be_seen_in_the_answer(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([respond(503, oops())], [cut()], says("fine"))
    answer = gateway.ask("hi", stream=True)
    streamed = "".join(event["choices"][0]["delta"].get("content", "") for event in answer.events()[:-1])
    assert streamed == "fine"
    assert len(provider.requests) == 3


def test_connection_refused(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config_for(f"http://127.0.0.1:{free_port()}/v1"))
    answer = gateway.ask("hi")
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    assert "Connection refused" in answer.error["message"]


def with_fallback(provider: ScriptedProvider) -> dict[str, Any]:
    config = config_for(provider.url)
    config["agents"]["defaults"]["model"] = {"primary": "test/test", "fallbacks": ["test/spare"]}
    return config


@pytest.mark.parametrize(
    "script",
    [[respond(500, oops())], [respond(401, oops())], [cut()], [respond(429, oops(), retry_after="60")]],
)
def test_fallbacks_are_tried_before_the_first_output(
    start_gateway: StartGateway, provider: ScriptedProvider, script: list[Step]
) -> None:
    gateway = start_gateway(with_fallback(provider))
    provider.always(script)
    provider.always(says("from the spare"), model="spare")
    assert gateway.ask("hi").text == "from the spare"
    assert b"from the spare" in gateway.ask("hi", stream=True).body


def test_no_fallback_after_the_first_output(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(with_fallback(provider))
    provider.always([text("half"), cut()])
    assert gateway.ask("hi").error["code"] == "upstream_truncated"
    assert [request["model"] for request in provider.requests] == ["test"]


def test_no_fallback_for_the_callers_own_mistake(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(with_fallback(provider))
    provider.always([respond(400, oops())])
    assert gateway.ask("hi").status == 400
    assert len(provider.requests) == 1


def with_timeouts(provider_url: str, **timeouts: int) -> dict[str, Any]:
    config = config_for(provider_url)
    config["models"]["providers"]["test"]["timeouts"] = timeouts
    return config


def timed(gateway: GatewayProcess, **headers: str) -> tuple[Answer, float]:
    begun = time.monotonic()
    answer = gateway.chat({"messages": [{"role": "user", "content": "hi"}]}, **headers)
    return answer, time.monotonic() - begun


def test_each_time_limit(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    """Each of a provider of its own: on a busy machine another one might be reached before."""
    config = config_for(provider.url)
    providers = config["models"]["providers"]
    for name, milliseconds in (("firstTokenMs", 500), ("idleMs", 1000), ("totalMs", 2500)):
        providers[name.lower()] = {**providers["test"], "timeouts": {name: milliseconds}}
    gateway = start_gateway(config)
    comments: list[Step] = [step for _ in range(400) for step in (raw(b": thinking\n\n"), pause(0.1))]
    drip: list[Step] = [step for _ in range(400) for step in (text("."), pause(0.1))]
    for name, script, message, at_least in (
        ("firsttokenms", [hang()], "did not begin to answer within 0.5 s", 0.5),
        ("firsttokenms", comments, "no first token within 0.5 s", 0.5),
        ("idlems", [text("x"), hang()], "fell silent for 1 s", 1.0),
        ("totalms", drip, "did not end its answer within 2.5 s", 2.5),
    ):
        provider.always(script)
        answer, seconds = timed(gateway, x_openclaw_model=f"{name}/test")
        assert (answer.status, answer.error["code"]) == (504, "timeout")
        assert message in answer.error["message"]
        assert at_least <= seconds < 30
    wait_until(lambda: provider.open == 0, 30, "end of all calls")


def test_comments_keep_an_answer_alive_once_it_has_begun(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(with_timeouts(provider.url, idleMs=2000))
    alive: list[Step] = [step for _ in range(9) for step in (raw(b": working\n\n"), pause(0.25))]
    provider.plays([text("slow "), *alive, text("but fine"), finish(), done()])
    assert gateway.ask("hi").text == "slow but fine"


def test_a_provider_that_accepts_and_is_silent(start_gateway: StartGateway) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        gateway = start_gateway(with_timeouts(url, firstTokenMs=400))
        answer, seconds = timed(gateway)
    assert (answer.status, answer.error["code"]) == (504, "timeout")
    assert seconds < 30


def test_an_agents_own_time_limit(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url)
    config["agents"]["defaults"]["timeoutSeconds"] = 2
    gateway = start_gateway(config)
    provider.always([text("x"), hang()])
    answer, seconds = timed(gateway)
    assert (answer.status, answer.error["code"]) == (504, "timeout")
    assert 2 <= seconds < 30
    provider.wait_for_leaving()


def test_failures_are_counted_and_logged_without_the_key(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([respond(401, oops(f"no: {KEY}"))])
    gateway.ask("hi")
    assert KEY not in gateway.log
