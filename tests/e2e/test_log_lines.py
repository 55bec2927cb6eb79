"""The log lines of a request: one when its run starts, one at its end, one if it failed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.gateway import GatewayProcess, read_until
from tests.support.operator import Operator, connect_params
from tests.support.provider import ScriptedProvider, hang, respond, says, text, wait_until


def lines_of(gateway: GatewayProcess, request_id: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in gateway.log.splitlines() if request_id in line]
    return [line for line in lines if line["request_id"] == request_id]


def messages(lines: list[dict[str, Any]]) -> list[str]:
    return [line["message"] for line in lines]


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_that_goes_well_has_a_line_at_its_start_and_one_at_its_end(
    gateway: GatewayProcess, provider: ScriptedProvider, stream: bool
) -> None:
    provider.plays(says("Hel", "lo", prompt=7, completion=2))
    name = f"req_lines_{stream}"
    answer = gateway.chat(
        {"model": "openclaw", "stream": stream, "messages": [{"role": "user", "content": "hi"}]},
        X_Request_Id=name,
    )
    assert answer.status == 200
    wait_until(lambda: len(lines_of(gateway, name)) == 2, 30, "the second line")
    started, ended = lines_of(gateway, name)
    run = {"run_id": answer.headers["X-OpenClaw-Run-Id"], "agent": "main", "level": "info"}
    key = {"session_key": answer.headers["X-OpenClaw-Session-Key"]}
    assert started.items() >= {**run, **key, "message": "run started", "source": "http"}.items()
    fields = {"message": "request answered", "status": 200, "method": "POST", "client": "127.0.0.1"}
    used = {"prompt_tokens": 7, "completion_tokens": 2, "finish_reason": "stop", "model": "test/test"}
    assert ended.items() >= {**run, **key, **fields, **used}.items()
    assert 0 <= ended["queue_ms"] <= ended["first_token_ms"] <= ended["total_ms"]


def test_one_that_fails_says_why(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([respond(401, {"error": {"message": "no such key"}})])
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
    assert gateway.chat(body, X_Request_Id="req_fails").status == 502
    wait_until(lambda: "request answered" in messages(lines_of(gateway, "req_fails")), 30, "the last line")
    lines = lines_of(gateway, "req_fails")
    assert messages(lines) == ["run started", "model call failed", "run failed", "request answered"]
    assert lines[2]["code"] == "upstream_error"
    assert lines[3]["status"] == 502


def test_one_whose_client_disconnects_says_so(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([text("begun"), hang()])
    with gateway.stream("hi") as stream:
        name = stream.headers["X-Request-Id"]
        read_until(stream, b"begun")
    wait_until(lambda: len(lines_of(gateway, name)) == 3, 30, "the last line")
    lines = lines_of(gateway, name)
    assert {"run started", "run aborted", "request answered"} == set(messages(lines))
    aborted = next(line for line in lines if line["message"] == "run aborted")
    assert aborted["code"] == "run_aborted"


def test_a_websocket_client_that_is_refused_has_one_line(gateway: GatewayProcess) -> None:
    before = len(gateway.log)
    with Operator(gateway) as client:
        client.receive()
        client.refusal("connect", connect_params(auth={"token": "never-to-be-seen"}))
        assert client.close_code()[0] == 1008
    seen = [line for line in gateway.log[before:].splitlines() if "connection refused" in line]
    (line,) = map(json.loads, seen)
    assert "token mismatch" in line["reason"]
    assert line.items() >= {"logger": "app.ws", "level": "info", "client": "127.0.0.1"}.items()
    assert line["request_id"]
    assert "never-to-be-seen" not in gateway.log


def test_a_refused_request_has_one_line(gateway: GatewayProcess) -> None:
    assert gateway.chat({"model": "openclaw"}, X_Request_Id="req_refused").status == 400
    wait_until(lambda: lines_of(gateway, "req_refused"), 30, "a line")
    (line,) = lines_of(gateway, "req_refused")
    assert (line["message"], line["status"]) == ("request answered", 400)
    assert "run_id" not in line
