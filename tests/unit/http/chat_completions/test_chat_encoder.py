"""Events as Chat Completions objects: which, in which order, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UpstreamError
from app.events.types import (
    Event,
    ExtraDelta,
    ModelFinished,
    ReasoningDelta,
    RefusalDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
)
from app.http.chat_completions.encoder import ChunkEncoder, dump_completion
from app.messages import Extra, ToolCall, Usage
from app.runs.run import RunResult

HEAD = {"id": "chatcmpl_1", "object": "chat.completion.chunk", "created": 1700000000, "model": "openclaw:ä"}
USAGE = Usage(7, 2, 3, 1)
DUMPED = {
    "prompt_tokens": 7,
    "completion_tokens": 2,
    "total_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
STARTED = RunStarted("chatcmpl_1", "main", "agent:main:x", 0.0)
END = (ModelFinished("stop", USAGE, "test/test"), RunFinished("stop", USAGE))


def encoder(include_usage: bool = False) -> ChunkEncoder:
    return ChunkEncoder("chatcmpl_1", 1700000000, "openclaw:ä", include_usage)


def decode(stream: bytes) -> list[Any]:
    """What a strict client sees: events of one `data` line each, nothing else."""
    *blocks, rest = stream.split(b"\n\n")
    assert rest == b""
    assert all(block.startswith(b"data: ") and b"\n" not in block for block in blocks)
    lines = [block[6:].decode() for block in blocks]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def stream(*events: Event, include_usage: bool = False) -> list[Any]:
    encode = encoder(include_usage)
    return decode(encode.begin() + encode.encode(events))


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def test_a_stream_in_order():
    assert stream(STARTED, TextDelta("Hel"), TextDelta("lo"), *END) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        "[DONE]",
    ]


def test_a_stream_with_usage():
    assert stream(TextDelta("Hi"), *END, include_usage=True) == [
        chunk({"role": "assistant", "content": ""}, usage=None),
        chunk({"content": "Hi"}, usage=None),
        chunk({}, "stop", usage=None),
        {**HEAD, "choices": [], "usage": DUMPED},
        "[DONE]",
    ]


def test_an_empty_answer_is_a_stream_without_text():
    assert stream(STARTED, *END) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({}, "stop"),
        "[DONE]",
    ]


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter"])
def test_the_finish_reason_is_the_providers(reason: Any):
    assert stream(RunFinished(reason, USAGE))[-2] == chunk({}, reason)


def test_tool_calls_are_streamed_in_fragments():
    chunks = stream(
        TextDelta("Wait."),
        ToolCallDelta(0, "c1", "up"),
        ToolCallDelta(0, arguments='{"text":'),
        ToolCallDelta(1, "c2", "down", "{}"),
        ToolCallDelta(0, arguments='"hi"}'),
        RunFinished("tool_calls", USAGE),
    )
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "up", "arguments": ""}}
    second = {"index": 1, "id": "c2", "type": "function", "function": {"name": "down", "arguments": "{}"}}
    assert chunks[2:] == [
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"text":'}}]}),
        chunk({"tool_calls": [second]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"hi"}'}}]}),
        chunk({}, "tool_calls"),
        "[DONE]",
    ]


def test_what_a_provider_wants_back_is_streamed_with_the_calls():
    signature = {"google": {"thought_signature": "s"}}
    chunks = stream(
        ToolCallDelta(0, "c1", "up", "{}", Extra({"extra_content": signature}, "google")),
        ExtraDelta(Extra({"reasoning_content": "hm"}, "google")),
        RunFinished("tool_calls", USAGE),
    )
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "up", "arguments": "{}"}}
    whose = {"x_openclaw_provider": "google"}
    assert chunks[1:-2] == [
        chunk({"tool_calls": [{**call, "extra_content": signature, **whose}]}),
        chunk({"reasoning_content": "hm", **whose}),
    ]


@pytest.mark.parametrize("include_usage", [False, True])
def test_a_failure_is_one_error_object_without_a_finish_chunk(include_usage: bool):
    failed = RunFailed.of(UpstreamError("The provider failed."))
    error = {"message": "The provider failed.", "type": "api_error", "param": None, "code": "upstream_error"}
    assert stream(TextDelta("ha"), failed, include_usage=include_usage)[2:] == [{"error": error}, "[DONE]"]


def test_a_keepalive_has_an_empty_delta():
    assert decode(encoder().keepalive()) == [chunk({})]
    assert decode(encoder(True).keepalive()) == [chunk({}, usage=None)]


def test_reasoning_and_internal_events_are_not_encoded():
    hidden = (STARTED, ReasoningDelta("hm"), ModelFinished("stop", USAGE, "test/test"))
    assert encoder().encode(hidden) == b""


@given(st.lists(st.lists(st.text(), max_size=4), max_size=6), st.booleans())
def test_the_joined_deltas_are_the_text_however_it_is_split(batches: list[list[str]], include_usage: bool):
    encode = encoder(include_usage)
    data = encode.begin()
    for batch in batches:
        data += encode.encode([TextDelta(piece) for piece in batch])
    data += encode.encode(END)
    chunks = decode(data)[:-1]
    said = "".join(one["choices"][0]["delta"].get("content", "") for one in chunks if one["choices"])
    assert said == "".join(piece for batch in batches for piece in batch)
    assert all("finish_reason" in one["choices"][0] for one in chunks if one["choices"])


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=8)), max_size=20))
def test_fragments_of_arguments_concatenate_by_index(fragments: list[tuple[int, str]]):
    first = [ToolCallDelta(index, f"c{index}", "up") for index in range(3)]
    deltas = [*first, *(ToolCallDelta(index, arguments=text) for index, text in fragments)]
    added = ["", "", ""]
    for one in decode(encoder().encode(deltas)):
        (call,) = one["choices"][0]["delta"]["tool_calls"]
        added[call["index"]] += call["function"]["arguments"]
    assert added == ["".join(text for at, text in fragments if at == index) for index in range(3)]


# In one piece


def whole(text: str, reason: Any = "stop", *calls: ToolCall) -> dict[str, Any]:
    return dump_completion("chatcmpl_1", 1700000000, "openclaw", RunResult(text, reason, USAGE, calls))


def test_a_whole_answer():
    assert whole("Hello.") == {
        "id": "chatcmpl_1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "openclaw",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello."},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": DUMPED,
    }


def test_an_empty_answer_is_an_empty_string():
    assert whole("")["choices"][0]["message"] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(("text", "content"), [("", None), ("Wait.", "Wait.")])
def test_tool_calls_of_a_whole_answer(text: str, content: str | None):
    choice = whole(text, "tool_calls", ToolCall("c1", "up", '{"text":"hi"}'))["choices"][0]
    call = {"id": "c1", "type": "function", "function": {"name": "up", "arguments": '{"text":"hi"}'}}
    assert choice["message"] == {"role": "assistant", "content": content, "tool_calls": [call]}
    assert choice["finish_reason"] == "tool_calls"


# Refusals


def test_a_refusal_of_a_whole_answer():
    result = RunResult("", "stop", USAGE, (), "No.")
    message = dump_completion("chatcmpl_1", 1700000000, "openclaw", result)["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": "No."}


def test_a_refusal_is_streamed_as_a_delta():
    (chunk,) = decode(encoder().encode([RefusalDelta("No.")]))
    assert chunk["choices"] == [{"index": 0, "delta": {"refusal": "No."}, "finish_reason": None}]
