"""What an answer looks like, whole and streamed, to the byte."""

from __future__ import annotations

import json
import re
import threading
import time
from itertools import chain
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess, config_for, read_until
from tests.support.provider import (
    ScriptedProvider,
    done,
    finish,
    hang,
    pause,
    raw,
    reasoning,
    respond,
    says,
    text,
    tool_call,
    usage,
    wait_for,
)

ID = re.compile(r"chatcmpl_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("f", "g")
]


def test_a_whole_answer(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("Hel", "lo", prompt=11, completion=22))
    before = int(time.time())
    answer = gateway.ask("hi")
    document = answer.json
    assert ID.fullmatch(document["id"])
    assert document["id"] == answer.headers["X-OpenClaw-Run-Id"]
    assert document["object"] == "chat.completion"
    assert before <= document["created"] <= time.time()
    assert document["model"] == "openclaw"
    [choice] = document["choices"]
    assert choice["index"] == 0
    assert choice["message"] == {"role": "assistant", "content": "Hello"}
    assert choice["finish_reason"] == "stop"
    counts = {
        name: document["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    }
    assert counts == {"prompt_tokens": 11, "completion_tokens": 22, "total_tokens": 33}
    assert "total;dur=" in answer.headers["Server-Timing"]
    assert answer.headers["X-OpenClaw-Usage"] is None


def test_a_stream(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("Hel", "lo"))
    answer = gateway.ask("hi", stream=True)
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"
    *chunks, end = answer.events()
    assert end == "[DONE]"
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert not re.search(rb"^(id|event):", answer.body, re.MULTILINE)
    assert {chunk["id"] for chunk in chunks} == {answer.headers["X-OpenClaw-Run-Id"]}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["created"] for chunk in chunks}) == 1
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]
    assert all("usage" not in chunk for chunk in chunks)


def test_a_stream_with_usage(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("Hel", "lo", prompt=3, completion=4))
    *chunks, last, end = gateway.ask("hi", stream=True, stream_options={"include_usage": True}).events()
    assert end == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 7


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_finish_reasons(gateway: GatewayProcess, provider: ScriptedProvider, reason: str) -> None:
    provider.always([text("x"), finish(reason), done()])
    assert gateway.ask("hi").json["choices"][0]["finish_reason"] == reason
    assert gateway.ask("hi", stream=True).events()[-2]["choices"][0]["finish_reason"] == reason


def test_an_empty_answer_is_an_empty_string(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.always([finish(), done()])
    assert gateway.ask("hi").json["choices"][0]["message"]["content"] == ""
    deltas = [event["choices"][0]["delta"] for event in gateway.ask("hi", stream=True).events()[:-1]]
    assert deltas == [{"role": "assistant", "content": ""}, {}]


def test_usage_is_estimated_and_marked_when_the_provider_counts_nothing(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([text("12345678"), finish(), done()])
    answer = gateway.ask("hi")
    assert answer.headers["X-OpenClaw-Usage"] == "estimated"
    assert answer.json["usage"]["completion_tokens"] == 2
    assert answer.json["usage"]["prompt_tokens"] > 0


PIECES = ["<", "think", "> ", "naïve ", "☃🎉", "\r\n", "\\", '"', "\u2028", "</b>", " end "]


def test_streamed_and_whole_text_are_the_same_bytes(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.always(says(*PIECES))
    whole = gateway.ask("hi").text
    events = gateway.ask("hi", stream=True).events()[:-1]
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == whole
    assert whole == "".join(PIECES)


def test_characters_split_between_reads(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    body = json.dumps({"choices": [{"index": 0, "delta": {"content": "☃🎉"}}]}, ensure_ascii=False).encode()
    event = b"data: " + body + b"\r\n\r\n"
    cut = event.index("🎉".encode()) + 2
    provider.plays([raw(event[:cut]), pause(0.05), raw(event[cut:]), finish(), done()])
    assert gateway.ask("hi").text == "☃🎉"


def test_reasoning_is_not_part_of_the_answer(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.always([reasoning("hmm"), *says("yes")])
    assert gateway.ask("hi").text == "yes"
    assert b"hmm" not in gateway.ask("hi", stream=True).body


def test_headers_and_the_role_are_sent_at_once(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([hang()])
    with gateway.stream("hi") as stream:  # while the model is silent
        first = stream.read1()
        provider.wait_for_requests(1)
    assert b'"role":"assistant"' in first


def test_each_delta_is_sent_when_it_arrives(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    """Each is sent to the gateway when the client has read the one before it."""
    has_arrived = [threading.Event() for _ in range(8)]
    steps = [(text(str(number)), wait_for(event)) for number, event in enumerate(has_arrived)]
    provider.plays([*chain.from_iterable(steps), finish(), done()])
    with gateway.stream("hi") as stream:
        for number, event in enumerate(has_arrived):
            read_until(stream, f'"content":"{number}"'.encode())
            event.set()
        assert stream.read().endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("keepalive", ["comment", "chunk", "off"])
def test_keepalives_while_the_model_is_silent(
    start_gateway: StartGateway, provider: ScriptedProvider, keepalive: str
) -> None:
    sse = {"keepalive": keepalive, "keepaliveSeconds": 0.2}
    endpoints = {"chatCompletions": {"enabled": True}}
    gateway = start_gateway(config_for(provider.url, http={"endpoints": endpoints, "sse": sse}))
    signs = {"comment": b": keepalive\n\n", "chunk": b'"delta":{},"finish_reason":null'}
    if keepalive == "off":
        provider.plays([pause(0.7), text("at"), pause(0.5), *says(" last")])
        body = gateway.ask("hi", stream=True).body
    else:
        before, within = threading.Event(), threading.Event()
        provider.plays([wait_for(before), text("at"), wait_for(within), *says(" last")])
        with gateway.stream("hi") as stream:
            body = read_until(stream, signs[keepalive], 3)
            assert b'"at"' not in body
            before.set()
            body += read_until(stream, b'"at"')
            body += read_until(stream, signs[keepalive], 2)
            within.set()
            body += stream.read()
    assert {kind for kind, sign in signs.items() if sign in body} == {keepalive} - {"off"}
    assert b'"at"' in body
    assert body.endswith(b"data: [DONE]\n\n")


def test_queued_streams_send_keepalives_too(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    endpoints = {"chatCompletions": {"enabled": True}}
    http = {"endpoints": endpoints, "sse": {"keepaliveSeconds": 0.2}}
    gateway = start_gateway(config_for(provider.url, http=http))
    go_on = threading.Event()
    provider.plays([wait_for(go_on), *says("first")], says("second"))
    with gateway.stream("one", user="q") as first:
        first.read1()
        with gateway.stream("two", user="q") as second:
            read_until(second, b": keepalive\n\n", 2)
            go_on.set()
            assert b"second" in second.read()


def two_calls() -> list[Any]:
    return [
        tool_call(0, "call_a", "f", ""),
        tool_call(0, arguments='{"x":'),
        tool_call(0, arguments="1}"),
        tool_call(1, "call_b", "g", "{}"),
        finish("tool_calls"),
        usage(5, 6),
        done(),
    ]


def test_client_tools_whole(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(two_calls())
    choice = gateway.ask("hi", tools=TOOLS).json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    assert provider.requests[-1]["tools"] == TOOLS


def test_client_tools_streamed(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(two_calls())
    events = gateway.ask("hi", tools=TOOLS, stream=True).events()[:-1]
    fragments = [call for event in events for call in event["choices"][0]["delta"].get("tool_calls", ())]
    assert [(one["index"], one["id"], one["function"]["name"]) for one in fragments if "id" in one] == [
        (0, "call_a", "f"),
        (1, "call_b", "g"),
    ]
    arguments = {0: "", 1: ""}
    for one in fragments:
        arguments[one["index"]] += one["function"]["arguments"]
    assert {index: json.loads(written) for index, written in arguments.items()} == {0: {"x": 1}, 1: {}}
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("user", [None, "tools-in-a-session"])
def test_the_tool_loop(gateway: GatewayProcess, provider: ScriptedProvider, user: str | None) -> None:
    provider.plays(two_calls(), says("done"))
    asked: list[dict[str, Any]] = [{"role": "user", "content": "do it"}]
    called = gateway.chat({"messages": asked, "tools": TOOLS, "user": user}).json["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": name, "content": f"<{name}>"} for name in ("call_a", "call_b")
    ]
    answer = gateway.chat({"messages": [*asked, called, *results], "tools": TOOLS, "user": user})
    assert answer.text == "done"
    sent = provider.requests[-1]["messages"][1:]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool"]
    assert sent[1]["tool_calls"] == called["tool_calls"]
    assert sent[2:] == results


def test_tool_results_alone_continue_a_session(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(two_calls(), says("done"))
    gateway.ask("do it", tools=TOOLS, user="sticky-tools")
    results = [{"role": "tool", "tool_call_id": name, "content": ""} for name in ("call_a", "call_b")]
    assert gateway.chat({"messages": results, "tools": TOOLS, "user": "sticky-tools"}).text == "done"
    sent = provider.requests[-1]["messages"][1:]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "g"}}])
def test_a_tool_choice_that_the_model_ignores(
    gateway: GatewayProcess, provider: ScriptedProvider, choice: Any
) -> None:
    provider.always(says("no"))
    answer = gateway.ask("hi", tools=TOOLS, tool_choice=choice)
    assert (answer.status, answer.error["code"]) == (502, "tool_choice_unmet")
    assert provider.requests[-1]["tool_choice"] == choice
    *_, error, end = gateway.ask("hi", tools=TOOLS, tool_choice=choice, stream=True).events()
    assert (error["error"]["code"], end) == ("tool_choice_unmet", "[DONE]")


def test_a_provider_that_does_not_stream(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    message = {"role": "assistant", "content": "whole"}
    document = {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    provider.always([respond(200, document)])
    assert gateway.ask("hi").text == "whole"
    assert b"whole" in gateway.ask("hi", stream=True).body


def test_http_1_0(gateway: GatewayProcess) -> None:
    answer = gateway.raw(b"GET /health HTTP/1.0\r\n\r\n")
    assert answer.status == 200
