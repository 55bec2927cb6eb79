"""Valid bodies of requests, and how all others are refused."""

from __future__ import annotations

import gzip
import json
import socket
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.provider import ScriptedProvider

HI = {"role": "user", "content": "hi"}
BODY = json.dumps({"model": "openclaw", "messages": [HI]}).encode()
HEAD = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
    "hgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, {}),
        (b"\xef\xbb\xbf" + BODY, {}),
        (BODY, {"Content_Type": "text/plain"}),
        (BODY, {"Content_Type": "application/x-www-form-urlencoded"}),
        (b"  \n" + BODY + b"\n", {}),
        (gzip.compress(BODY), {"Content_Encoding": "gzip"}),
        (b'{"messages": [], "messages": [{"role": "user", "content": "hi"}]}', {}),
        (json.dumps({"messages": [HI], "unheard": {"of": [1]}}).encode(), {}),
        (json.dumps({"messages": [HI], "stream": None, "stream_options": None, "tools": None}).encode(), {}),
    ],
)
def test_good_bodies(gateway: GatewayProcess, body: bytes, headers: dict[str, str]) -> None:
    answer = gateway.chat(body, **headers)
    assert (answer.status, answer.text) == (200, "echo: hi")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"   ", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'"text"', "invalid_json"),
        (b"null", "invalid_json"),
        (b"5", "invalid_json"),
        (BODY + b"x", "invalid_json"),
        (BODY + BODY, "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "temperature": NaN}', "invalid_json"),
        (b'{"a":' * 100_000, "invalid_json"),
        (b"[" * 100_000 + b"]" * 100_000, "invalid_json"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_bodies_that_are_not_a_json_object(
    gateway: GatewayProcess, body: bytes, code: str, stream: bool
) -> None:
    answer = gateway.chat(body, accept="text/event-stream" if stream else "*/*")
    assert (answer.status, answer.error["code"]) == (400, code)
    assert answer.error["type"] == "invalid_request_error"


MISSING: list[Any] = [
    None,
    [],
    "hi",
    {},
    [{"role": "system", "content": "x"}],
    [{"role": "assistant", "content": "x"}],
    [{"role": "user", "content": ""}],
    [{"role": "user", "content": " \n "}],
    [{"role": "user", "content": []}],
    [{"role": "user", "content": [{"type": "text", "text": " "}]}],
]


@pytest.mark.parametrize("messages", MISSING)
def test_nothing_to_answer(gateway: GatewayProcess, messages: Any) -> None:
    answer = gateway.chat({"messages": messages})
    assert (answer.status, answer.error["code"]) == (400, "missing_message")
    assert answer.error["message"] == "Missing user message in `messages`."


def test_no_messages_at_all(gateway: GatewayProcess) -> None:
    assert gateway.chat({}).error["message"] == "Missing user message in `messages`."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", ["hi"]),
        ("messages", [HI, {"content": "no role"}]),
        ("messages", [HI, {"role": "robot", "content": "x"}]),
        ("messages", [{"role": 5, "content": "x"}]),
        ("messages", [{"role": "user"}]),
        ("messages", [{"role": "user", "content": None}]),
        ("messages", [{"role": "user", "content": 5}]),
        ("messages", [{"role": "user", "content": {"type": "text", "text": "x"}}]),
        ("messages", [{"role": "user", "content": ["x"]}]),
        ("messages", [{"role": "user", "content": [{"type": "text", "text": 5}]}]),
        ("messages", [{"role": "user", "content": [{"type": "input_audio"}]}]),
        ("messages", [HI, {"role": "assistant", "content": None}]),
        ("messages", [HI, {"role": "tool", "content": "x"}]),
        ("messages", [HI, {"role": "tool", "tool_call_id": "c", "content": None}]),
        ("messages", [HI, {"role": "assistant", "tool_calls": [{"id": "c"}]}]),
        ("messages", [HI, {"role": "assistant", "tool_calls": "c"}]),
        ("stream", "yes"),
        ("stream", 1),
        ("stream_options", "usage"),
        ("stream_options", {"include_usage": 1}),
        ("max_tokens", 0),
        ("max_tokens", -1),
        ("max_tokens", 1.5),
        ("max_tokens", "10"),
        ("max_tokens", True),
        ("max_completion_tokens", 0),
        ("temperature", 2.1),
        ("temperature", -0.1),
        ("temperature", "1"),
        ("temperature", True),
        ("top_p", 1.1),
        ("top_p", -0.1),
        ("frequency_penalty", 2.5),
        ("presence_penalty", -2.5),
        ("seed", 1.5),
        ("seed", "1"),
        ("stop", ""),
        ("stop", ["a", ""]),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("stop", 5),
        ("n", 2),
        ("n", 0),
        ("n", "1"),
        ("response_format", "json"),
        ("response_format", {"type": "xml"}),
        ("reasoning_effort", 5),
        ("parallel_tool_calls", "yes"),
        ("tools", {}),
        ("tools", [{}]),
        ("tools", [{"type": "function", "function": {}}]),
        ("tools", [{"type": "function", "function": {"name": ""}}]),
        ("tools", [{"type": "retrieval", "function": {"name": "f"}}]),
        ("tools", [TOOL, TOOL]),
        ("tool_choice", "auto"),
        ("tool_choice", "sometimes"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_wrong_fields_are_named_before_anything_is_streamed(
    gateway: GatewayProcess, provider: ScriptedProvider, field: str, value: Any, stream: bool
) -> None:
    answer = gateway.chat({"messages": [HI], "stream": stream, field: value})
    assert answer.status == 400, answer.body
    assert answer.error["param"].startswith(field)
    assert provider.requests == []


def test_a_tool_choice_without_tools(gateway: GatewayProcess) -> None:
    choice = {"type": "function", "function": {"name": "g"}}
    answer = gateway.chat({"messages": [HI], "tools": [TOOL], "tool_choice": choice})
    assert (answer.status, answer.error["param"]) == (400, "tool_choice")


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("  untouched \r\n<b>&amp;\t", "  untouched \r\n<b>&amp;\t"),
        ([{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}], "a\nb"),
        (
            [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": PNG}}],
            [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": PNG}}],
        ),
        ([{"type": "image_url", "image_url": PNG}], [{"type": "image_url", "image_url": {"url": PNG}}]),
    ],
)
def test_contents_reach_the_model(
    gateway: GatewayProcess, provider: ScriptedProvider, content: Any, sent: Any
) -> None:
    assert gateway.chat({"messages": [{"role": "user", "content": content}]}).status == 200
    assert provider.messages()[-1] == ("user", sent)


def test_roles_reach_the_model(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages = [
        HI,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
        {"role": "assistant", "content": "and now"},
        {"role": "assistant", "content": None, "function_call": {"name": "old", "arguments": "{}"}},
        {"role": "function", "name": "old", "content": None},
        {"role": "system", "content": "late"},
        {"role": "assistant", "content": "beginning of an ans"},
    ]
    assert gateway.chat({"messages": messages}).status == 200
    sent = provider.requests[-1]["messages"]
    assert sent[0] == {"role": "system", "content": "You are main.\n\nlate"}
    assert sent[2] == {"role": "assistant", "content": None, "tool_calls": [call]}
    assert sent[3] == {"role": "tool", "tool_call_id": "c1", "content": ""}
    assert (sent[4]["content"], sent[4]["tool_calls"][0]["function"]["name"]) == ("and now", "old")
    assert sent[4]["tool_calls"][0]["id"] == sent[5]["tool_call_id"]
    assert sent[6] == {"role": "assistant", "content": "beginning of an ans"}


def test_parameters_reach_the_model(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    given = {
        "temperature": 0,
        "top_p": 1,
        "frequency_penalty": -2,
        "presence_penalty": 2,
        "seed": -7,
        "stop": ["a", "b", "c", "d"],
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
        "tools": [TOOL],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    }
    ignored = {"logprobs": True, "logit_bias": {"1": 2}, "store": True, "metadata": {"a": "b"}, "n": 1}
    limits = {"max_tokens": 5, "max_completion_tokens": 9}
    assert gateway.chat({"messages": [HI], **given, **ignored, **limits}).status == 200
    sent = provider.requests[-1]
    assert {name: sent[name] for name in given} == given
    assert sent["max_tokens"] == 9
    assert not ignored.keys() & sent.keys()
    assert sent["stream_options"] == {"include_usage": True}


def test_tool_choice_none_offers_no_tools(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    gateway.chat({"messages": [HI], "tools": [TOOL], "tool_choice": "none"})
    assert not {"tools", "tool_choice"} & provider.requests[-1].keys()


def small_gateway(start_gateway: StartGateway, provider: ScriptedProvider) -> GatewayProcess:
    endpoint = {"enabled": True, "maxBodyBytes": 10_000}
    return start_gateway(config_for(provider.url, http={"endpoints": {"chatCompletions": endpoint}}))


def chunked(data: bytes, size: int = 4000) -> bytes:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_size_limits(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = small_gateway(start_gateway, provider)
    big = json.dumps({"messages": [{"role": "user", "content": "x" * 20_000}]}).encode()
    fits = BODY + b" " * (10_000 - len(BODY))
    transfer = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    assert gateway.chat(fits).status == 200
    assert gateway.raw(transfer + chunked(fits)).status == 200
    for answer in (
        gateway.chat(big),
        gateway.chat(fits + b" "),
        gateway.raw(transfer + chunked(big)),
        gateway.raw(transfer + chunked(fits + b" ")),
        gateway.chat(gzip.compress(big), content_encoding="gzip"),
        gateway.chat(gzip.compress(b" " * 50_000_000), content_encoding="gzip"),
    ):
        assert (answer.status, answer.error["code"]) == (413, "body_too_large")
    assert provider.messages(-1)[-1] == ("user", "hi")


def test_a_large_upload_gets_its_answer_not_a_reset(gateway: GatewayProcess) -> None:
    answer = gateway.chat(b"x" * (21 * 1024 * 1024))
    assert answer.status == 413
    assert gateway.chat(b"x" * (21 * 1024 * 1024), token="wrong").status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello-and-more\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    ],
)
def test_malformed_chunks(gateway: GatewayProcess, body: bytes) -> None:
    answer = gateway.raw(HEAD + body)
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"


def test_a_short_body(gateway: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as sock:
        sock.sendall(HEAD + b"Content-Length: 500\r\n\r\n" + BODY)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1000).startswith(b"HTTP/1.1 400")


@pytest.mark.slow
def test_a_stalled_body(gateway: GatewayProcess) -> None:
    answer = gateway.raw(HEAD + b"Content-Length: 500\r\n\r\n" + BODY, timeout=60)
    assert (answer.status, answer.error["code"]) == (408, "body_timeout")


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("br", BODY, 415),
        ("deflate", BODY, 415),
        ("gzip", BODY, 400),
        ("gzip", gzip.compress(BODY)[:-9], 400),
        ("gzip", gzip.compress(b"not json"), 400),
    ],
)
def test_encodings(gateway: GatewayProcess, encoding: str, body: bytes, status: int) -> None:
    assert gateway.chat(body, content_encoding=encoding).status == status


def test_the_connection_is_usable_after_an_error(gateway: GatewayProcess) -> None:
    bad = HEAD + b"Content-Length: 1\r\n\r\n{"
    good = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as sock:
        sock.sendall(bad + good)
        answers = b""
        while piece := sock.recv(65536):
            answers += piece
    assert answers.count(b"HTTP/1.1 400") == 1
    assert answers.count(b"HTTP/1.1 200") == 1


def test_expect_100_continue(gateway: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as sock:
        sock.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert sock.recv(1000).startswith(b"HTTP/1.1 100")
        sock.sendall(BODY)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "refused",
    [
        {"role": "assistant", "content": None, "refusal": "I cannot."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
    ],
)
def test_a_resent_refusal_is_accepted(
    gateway: GatewayProcess, provider: ScriptedProvider, refused: dict[str, Any]
) -> None:
    again = {"role": "user", "content": "Why?"}
    answer = gateway.chat({"messages": [HI, refused, again]})
    assert answer.status == 200, answer.body
    assert provider.messages()[1:] == [("user", "hi"), ("assistant", "I cannot."), ("user", "Why?")]


@pytest.mark.parametrize(
    "more",
    [
        {"functions": [{"name": "f", "parameters": {"type": "object"}}], "function_call": "auto"},
        {"functions": [{"name": "f"}], "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"function_call": {"name": "f"}},
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_older_functions_are_never_dropped_in_silence(
    gateway: GatewayProcess, provider: ScriptedProvider, more: dict[str, Any], stream: bool
) -> None:
    answer = gateway.chat({"messages": [HI], "stream": stream, **more})
    assert answer.status == 400
    assert answer.error["param"] in more
    assert "`tools`" in answer.error["message"]
    assert provider.requests == []


def test_a_gzip_body_of_several_members(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    parts = [BODY[start : start + 10] for start in range(0, len(BODY), 10)]
    answer = gateway.chat(b"".join(map(gzip.compress, parts)), content_encoding="gzip")
    assert answer.status == 200, answer.body
    bomb = gzip.compress(b" " * 15_000_000) * 60  # each within the limit, not all together
    assert gateway.chat(bomb, content_encoding="gzip").status == 413
    empty = gzip.compress(b"") * 500_000
    assert gateway.chat(empty, content_encoding="gzip").status == 400
