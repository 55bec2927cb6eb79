"""The bounds of docs/http.md#limits and docs/websocket.md#repeating-a-request, made small enough to reach."""

from __future__ import annotations

import http.client
import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess
from tests.support.limited_wsgi import limits
from tests.support.operator import Operator, operator
from tests.support.provider import ScriptedProvider, done, finish, hang, says, text, tool_call, wait_until

LARGE = "x" * 1_000_000


# A client that takes nothing of its answer


@contextmanager
def client_that_reads_nothing(gateway: GatewayProcess, *, stream: bool) -> Iterator[socket.socket]:
    """A connection with a small buffer, over which a chat completion has been requested."""
    body = json.dumps({"stream": stream, "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", gateway.port))
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        yield sock


def is_open(gateway: GatewayProcess, client: socket.socket) -> bool:
    """Whether the gateway still has the connection to that client."""
    [worker] = psutil.Process(gateway.pid).children()
    port = client.getsockname()[1]
    return any(one.raddr and one.raddr.port == port for one in worker.net_connections("tcp"))


def test_the_run_of_a_client_that_reads_nothing_of_its_stream_is_stopped(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(**limits(write_seconds=1))
    provider.plays([*[text(LARGE)] * 12, hang()])
    with client_that_reads_nothing(gateway, stream=True) as client:
        provider.wait_for_leaving()
        wait_until(lambda: gateway.metric("openclaw_active_streams") == 0, 30, "end of the stream")
        wait_until(lambda: not is_open(gateway, client), 30, "closed connection")


def test_a_client_that_reads_nothing_of_a_whole_answer_is_disconnected(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(**limits(write_seconds=1))
    provider.plays(says(*[LARGE] * 12))
    with client_that_reads_nothing(gateway, stream=False) as client:
        provider.wait_for_requests(1)
        wait_until(lambda: not is_open(gateway, client), 30, "closed connection")
        response = http.client.HTTPResponse(client)
        response.begin()
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            response.read()


# The size of an answer


def test_an_answer_that_is_too_large_is_an_error(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(**limits(answer_bytes=10_000))
    provider.always([*[text("x" * 1000)] * 20, hang()])
    answer = gateway.ask("hi")
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    assert "longer than the gateway can keep" in answer.error["message"]
    provider.wait_for_leaving()
    *pieces, error, last = gateway.ask("hi", stream=True).events()
    assert (error["error"]["code"], last) == ("upstream_error", "[DONE]")
    content = "".join(one["choices"][0]["delta"].get("content", "") for one in pieces)
    assert 0 < len(content) < 10_000
    provider.wait_for_leaving(2)


def test_an_answer_of_the_largest_size_is_whole(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(**limits(answer_bytes=10_000))
    provider.plays(says("x" * 9000))
    assert len(gateway.ask("hi").text) == 9000


def test_many_small_pieces_and_tool_calls_count_too(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(**limits(answer_bytes=10_000))
    provider.plays([*[text("x")] * 1000, hang()])
    assert gateway.ask("hi").error["code"] == "upstream_error"
    call = [tool_call(0, "call_1", "f"), *[tool_call(0, arguments="x" * 1000)] * 20]
    provider.plays([*call, finish("tool_calls"), done()])
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    assert gateway.ask("hi", tools=[tool]).error["code"] == "upstream_error"


# What is remembered of runs that have ended


def run_agent(client: Operator, **more: str) -> str:
    """The id of a run that has been started and has ended."""
    run_id = str(uuid.uuid4())
    request = client.request("agent", {"message": "hi", "idempotencyKey": run_id, **more})
    assert client.response(request)["payload"]["status"] == "accepted"
    assert client.response(request)["ok"]
    return run_id


def is_known(client: Operator, run_id: str) -> bool:
    """Whether the gateway knows how the run ended."""
    answer = client.response(client.request("agent.wait", {"runId": run_id, "timeoutMs": 0}))
    return bool(answer["ok"] and answer["payload"]["status"] == "ok")


def test_a_run_that_is_not_remembered_is_answered_from_the_store(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(**limits(ended_runs=2))
    with operator(gateway) as client:
        first, second, third = run_agent(client), run_agent(client), run_agent(client)
        assert [is_known(client, one) for one in (first, second, third)] == [True, True, True]
        for run_id in (third, first):
            again = client.call("agent", {"message": "hi", "idempotencyKey": run_id})
            assert again["result"]["payloads"][0]["text"] == "echo: hi"
    assert len(provider.requests) == 3, "no run is started twice, remembered or not"


def test_a_run_is_forgotten_after_a_time(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(**limits(ended_run_seconds=0.5, kept_event_seconds=0.5))
    with operator(gateway) as client:
        run_id = run_agent(client, sessionKey="short")
        client.call("sessions.delete", {"key": "short"})
        wait_until(lambda: not is_known(client, run_id), 30, "forgotten run")
