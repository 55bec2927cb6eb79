"""Answers as providers really send them, through a real gateway, streamed and not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway import GatewayProcess, config_for
from tests.support.operator import operator
from tests.support.provider_answers import EACH_CASE, outcome_of, outcome_of_stream
from tests.support.raw_provider import RawProvider, sends


@pytest.fixture(scope="module")
def raw() -> Iterator[RawProvider]:
    with RawProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(raw: RawProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(tmp_path_factory.mktemp("gateway"), config_for(raw.url))
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log


@EACH_CASE
def test_each_answer_is_understood(gateway: GatewayProcess, raw: RawProvider, case: dict[str, Any]) -> None:
    raw.play = sends(case["wire"].encode("latin-1"))
    whole = outcome_of(gateway.ask("hi"))
    assert whole.is_right(case["right"]), whole
    streamed = outcome_of_stream(gateway.ask("hi", stream=True, stream_options={"include_usage": True}))
    assert streamed.is_right(case["right"]), streamed


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nConnection: close\r\n\r\n"
HI = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
DOCUMENT = b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}'


@pytest.mark.parametrize(
    "label", [b"text/plain", b"application/json", b"application/octet-stream", b"text/html"]
)
@pytest.mark.parametrize(
    "body", [HI + STOP + DONE, b"\r\n\xef\xbb\xbf" + HI + STOP + DONE, DOCUMENT, b" \n" + DOCUMENT]
)
def test_the_content_decides_and_not_the_label(
    gateway: GatewayProcess, raw: RawProvider, label: bytes, body: bytes
) -> None:
    raw.play = sends(HEAD % label, body)
    assert gateway.ask("hi").text == "Hi"


def test_any_success_is_one(gateway: GatewayProcess, raw: RawProvider) -> None:
    raw.play = sends((HEAD % b"application/json").replace(b"200 OK", b"201 Created") + DOCUMENT)
    assert gateway.ask("hi").text == "Hi"


def test_a_finish_reason_that_nobody_knows_is_no_success(gateway: GatewayProcess, raw: RawProvider) -> None:
    for reason in (b"error", b"abort", b"OTHER", b"something"):
        raw.play = sends(HEAD % b"text/event-stream", HI, STOP.replace(b"stop", reason), DONE)
        answer = gateway.ask("hi")
        assert (answer.status, answer.error["code"]) == (502, "upstream_error")
        assert reason.decode() in answer.error["message"]


def test_nothing_but_done_is_no_success(gateway: GatewayProcess, raw: RawProvider) -> None:
    raw.play = sends(HEAD % b"text/event-stream", DONE)
    assert (gateway.ask("hi").status, gateway.ask("hi").error["code"]) == (502, "upstream_truncated")


REFUSAL = HI.replace(b"content", b"refusal").replace(b"Hi", b"I can't help with that.")


def test_a_refusal_is_kept_as_openai_does(gateway: GatewayProcess, raw: RawProvider) -> None:
    raw.play = sends(HEAD % b"text/event-stream", REFUSAL, STOP, DONE)
    message = gateway.ask("hi", user="refused").json["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": "I can't help with that."}
    deltas = [one["choices"][0]["delta"] for one in gateway.ask("hi", stream=True).events()[:-1]]
    assert {"refusal": "I can't help with that."} in deltas


def test_a_refusal_is_shown_and_stored_over_websocket(gateway: GatewayProcess, raw: RawProvider) -> None:
    raw.play = sends(HEAD % b"text/event-stream", REFUSAL, STOP, DONE)
    with operator(gateway) as client:
        client.call("chat.send", {"sessionKey": "refusing", "message": "hi", "idempotencyKey": "refused-run"})
        final = client.until("chat", state="final")
        assert final["message"]["content"] == [{"type": "text", "text": "I can't help with that."}]
        history = client.call("chat.history", {"sessionKey": "refusing"})["messages"]
    assert [part["text"] for part in history[-1]["content"]] == ["I can't help with that."]


def test_an_estimate_is_marked_where_no_count_can_be_right(gateway: GatewayProcess, raw: RawProvider) -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":9223372036854775808}}\n\n'
    raw.play = sends(HEAD % b"text/event-stream", HI, STOP, usage, DONE)
    answer = gateway.ask("hi")
    assert (answer.text, answer.headers["X-OpenClaw-Usage"]) == ("Hi", "estimated")
    assert 0 < answer.json["usage"]["total_tokens"] < 100


def test_a_kept_connection_that_is_closed_when_it_is_used_again(
    gateway: GatewayProcess, raw: RawProvider
) -> None:
    """The request is sent once more, over a new connection: the provider has not taken it."""
    document = b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    kept = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(document)

    def answer_and_close_at_the_next_request(sock: socket.socket) -> None:
        sock.sendall(kept + document)
        sock.recv(65536)  # the next request on this connection, which gets no answer

    raw.play = answer_and_close_at_the_next_request
    before = raw.requests
    assert gateway.ask("hi").text == "Hi"
    raw.play = sends(kept + document)
    assert gateway.ask("hi").text == "Hi"
    assert raw.requests == before + 2
    assert "model call failed" not in gateway.log.rsplit('"run started"', 1)[1]
