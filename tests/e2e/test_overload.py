"""More load than the limits allow: it is refused quickly, and active runs continue."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from typing import Any

import psutil

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.provider import (
    ScriptedProvider,
    done,
    finish,
    hang,
    raw,
    says,
    text,
    wait_for,
    wait_until,
)


def with_limit(provider: ScriptedProvider, runs: int) -> dict[str, Any]:
    http = {"endpoints": {"chatCompletions": {"enabled": True}}, "maxRuns": runs}
    return config_for(provider.url, http=http)


def test_runs_beyond_the_limit(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(with_limit(provider, 20))
    provider.always([text("x"), hang()])
    with ExitStack() as stack:
        streams = [stack.enter_context(gateway.stream("hi")) for _ in range(20)]
        for stream in streams:
            stream.read1()
        wait_until(lambda: provider.open == 20, 30, "20 calls of the model")
        for _ in range(5):
            answer = gateway.ask("hi", stream=True)
            assert (answer.status, answer.error["code"]) == (429, "overloaded")
            assert int(answer.headers["Retry-After"]) >= 1
        assert provider.open == 20, "all the runs go on meanwhile"
        assert len(provider.requests) == 20
        assert gateway.request("GET", "/health").status == 200
        assert gateway.metric("openclaw_active_runs") == 20
        assert gateway.metric("openclaw_active_streams") == 20
    wait_until(lambda: gateway.metric("openclaw_active_runs") == 0, 30, "end of the runs")
    provider.always(says("room again"))
    assert gateway.ask("hi").text == "room again"


def test_an_agents_limit_queues(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url)
    config["agents"]["list"][1]["maxConcurrent"] = 2
    gateway = start_gateway(config)
    go_on = threading.Event()
    provider.always([text("x"), wait_for(go_on), finish(), done()])
    with ExitStack() as stack:
        streams = [stack.enter_context(gateway.stream("hi", model="openclaw:beta")) for _ in range(5)]
        wait_until(lambda: gateway.metric("openclaw_active_runs") == 5, 30, "five runs")
        provider.wait_for_requests(2)
        time.sleep(0.2)  # for a third one, which must not come
        assert provider.open == len(provider.requests) == 2
        go_on.set()
        for stream in streams:
            assert b"[DONE]" in stream.read()
    assert len(provider.requests) == 5


def test_memory_for_a_client_that_reads_nothing(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    [worker] = psutil.Process(gateway.pid).children()
    piece = text("x" * 100_000)
    provider.always([piece] * 2000)  # 200 MB
    before = worker.memory_info().rss
    with socket.create_connection(("127.0.0.1", gateway.port)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = b'{"stream": true, "messages": [{"role": "user", "content": "hi"}]}'
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        provider.wait_for_requests(1)
        wait_until(lambda: gateway.metric("openclaw_active_runs") == 0, 30, "end of the run")
        assert worker.memory_info().rss - before < 150 * 1024 * 1024
        assert gateway.request("GET", "/health").status == 200
    wait_until(lambda: gateway.metric("openclaw_active_streams") == 0, 30, "end of the stream")


def test_a_provider_that_never_ends_its_event(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    provider.always([raw(b"data: " + b"x" * 1_000_000)] + [raw(b"x" * 1_000_000)] * 40)
    answer = gateway.ask("hi")
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")


def test_a_thousand_stateless_calls_leave_nothing(gateway: GatewayProcess) -> None:
    [worker] = psutil.Process(gateway.pid).children()
    for _ in range(200):
        gateway.ask("hi")
    before, files = worker.memory_info().rss, worker.num_fds()
    for _ in range(1000):
        gateway.ask("hi")
    assert worker.memory_info().rss - before < 8 * 1024 * 1024
    wait_until(lambda: worker.num_fds() <= files + 2, 30, "closed files")
    assert gateway.metric("openclaw_lanes") == 0
    assert gateway.metric("openclaw_active_runs") == 0
