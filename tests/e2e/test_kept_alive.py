"""`x-openclaw-keepalive: body`: blanks before a plain answer, so that no router gives it up."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import ShareGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.provider import (
    ScriptedProvider,
    done,
    finish,
    hang,
    respond,
    says,
    text,
    wait_for,
    wait_until,
)

KEEPALIVE = {"x-openclaw-keepalive": "body"}
AUTH = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def gateway(share_gateway: ShareGateway, provider: ScriptedProvider) -> GatewayProcess:
    return share_gateway(config_for(provider.url, http=soon(0.2)))


def soon(seconds: float) -> dict[str, Any]:
    endpoints = {"chatCompletions": {"enabled": True}}
    return {"endpoints": endpoints, "sse": {"keepaliveSeconds": seconds}}


@contextmanager
def asked(gateway: GatewayProcess, **body: Any) -> Iterator[http.client.HTTPResponse]:
    """The answer once its headers have come."""
    message = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}], **body}
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(message), AUTH | KEEPALIVE)
        with connection.getresponse() as response:
            yield response


def test_blanks_come_until_the_answer_does(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    ready = threading.Event()
    provider.plays([text("late, "), wait_for(ready), *says("but whole")])
    with asked(gateway, user="kept") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        assert response.headers["X-OpenClaw-Run-Id"]
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"
        blanks = response.read(3)
        ready.set()
        whole = blanks + response.read()
    assert blanks == b"   "
    answer = json.loads(whole)
    assert answer["choices"][0]["message"]["content"] == "late, but whole"
    assert answer["id"] == response.headers["X-OpenClaw-Run-Id"]
    assert gateway.ask("and now?", user="kept").status == 200
    assert ("assistant", "late, but whole") in provider.messages()


def test_a_quick_answer_is_an_ordinary_one(share_gateway: ShareGateway, provider: ScriptedProvider) -> None:
    gateway = share_gateway(config_for(provider.url, http=soon(3600)))
    provider.plays([text("at once"), finish(), done()])
    answer = gateway.chat({"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}, **KEEPALIVE)
    assert answer.text == "at once"
    assert answer.body.startswith(b"{")
    assert answer.headers["X-OpenClaw-Usage"] == "estimated"


def test_a_failure_after_the_first_blank_is_the_error_in_the_body(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    ready = threading.Event()
    provider.plays([text("half "), wait_for(ready)])
    with asked(gateway) as response:
        assert (response.status, response.read(1)) == (200, b" ")
        ready.set()
        answer = json.loads(response.read())
    assert answer["error"]["code"] == "upstream_truncated"
    assert set(answer) == {"error"}


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"x-openclaw-keepalive": "chunk"}, {}, 400, "unsupported_value"),
        ({"x-openclaw-keepalive": ""}, {}, 400, "unsupported_value"),
        (KEEPALIVE, {"temperature": 9}, 400, "unsupported_value"),
        (KEEPALIVE, {"model": "nobody"}, 404, "model_not_found"),
        (KEEPALIVE | {"Authorization": "Bearer wrong"}, {}, 401, None),
    ],
)
def test_what_can_be_refused_is_refused_before_anything_is_sent(
    gateway: GatewayProcess, headers: dict[str, str], body: dict[str, Any], status: int, code: str | None
) -> None:
    message = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}], **body}
    answer = gateway.request("POST", "/v1/chat/completions", message, AUTH | headers)
    assert (answer.status, answer.error["code"]) == (status, code)


def test_a_failure_before_the_first_blank_has_its_status(
    share_gateway: ShareGateway, provider: ScriptedProvider
) -> None:
    gateway = share_gateway(config_for(provider.url, http=soon(3600)))
    provider.plays([respond(401, {})])
    answer = gateway.chat({"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}, **KEEPALIVE)
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")


def test_the_run_is_aborted_when_its_client_leaves(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([text("begun"), hang()])
    with asked(gateway) as response:
        response.read(1)
    provider.wait_for_leaving()
    wait_until(lambda: gateway.metric("openclaw_active_runs") == 0, 30, "end of the run")
    wait_until(lambda: gateway.metric("openclaw_active_streams") == 0, 30, "end of the stream")


def test_the_run_is_aborted_when_its_client_leaves_before_the_first_blank(
    share_gateway: ShareGateway, provider: ScriptedProvider
) -> None:
    gateway = share_gateway(config_for(provider.url, http=soon(3600)))
    provider.plays([hang()])
    message = json.dumps({"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]})
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)) as connection:
        connection.request("POST", "/v1/chat/completions", message, AUTH | KEEPALIVE)
        provider.wait_for_requests(1)
    provider.wait_for_leaving()


def test_a_client_of_http_1_0_gets_the_answer_and_the_end(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    ready = threading.Event()
    provider.plays([text("late"), wait_for(ready), *says("r")])
    body = json.dumps({"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]})
    head = f"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"x-openclaw-keepalive: body\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as sock:
        sock.sendall(head.encode() + body.encode())
        read = b""
        while b"\r\n\r\n " not in read:
            read += sock.recv(1000)
        ready.set()
        while piece := sock.recv(1000):
            read += piece
    headers, _, sent = read.partition(b"\r\n\r\n")
    assert b"chunked" not in headers
    assert json.loads(sent)["choices"][0]["message"]["content"] == "later"


def test_a_head_request_is_refused(gateway: GatewayProcess) -> None:
    answer = gateway.request("HEAD", "/v1/chat/completions", headers=AUTH | KEEPALIVE)
    assert (answer.status, answer.body) == (405, b"")


def test_a_stream_keeps_to_its_own_signs_of_life(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("as ever"))
    body = {"model": "openclaw", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    assert gateway.chat(body, **KEEPALIVE).events()[-1] == "[DONE]"
