"""A provider's answer as events, from servers that keep to the format and from those that do not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import (
    ContextLengthExceeded,
    GatewayError,
    InsufficientQuota,
    InvalidRequest,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from app.events.types import ModelEvent, ModelFinished, ReasoningDelta, TextDelta, ToolCallDelta
from app.messages import Usage
from app.providers.http.secrets import Secrets
from app.providers.openai_chat.answer_body import read_whole
from app.providers.openai_chat.stream import ChatStream

SECRET = "provider-key-canary"


def read(*chunks: Any) -> list[ModelEvent]:
    """The events of a whole stream. A chunk that is bytes is sent as it is."""
    stream = ChatStream(Secrets([SECRET]))
    events = [event for chunk in chunks for event in stream.read(raw(chunk))]
    return [*events, *stream.finish()]


def raw(chunk: Any) -> bytes:
    return chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()


def failure(*chunks: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        read(*chunks)
    return caught.value


def delta(reason: Any = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def call(*calls: Any, reason: Any = None) -> dict[str, Any]:
    return delta(reason, tool_calls=list(calls))


STOP = delta("stop")
DONE = b"[DONE]"
END = ModelFinished("stop")


def test_an_ordinary_stream():
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    chunks = [
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo"),
        STOP,
        {"choices": [], "usage": usage},
        DONE,
    ]
    assert read(*chunks) == [TextDelta("Hel"), TextDelta("lo"), ModelFinished("stop", Usage(7, 2, 3, 1))]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
        ("STOP", "stop"),
    ],
)
def test_finish_reasons(given: str, reason: Any):
    assert read(delta(content="x"), delta(given)) == [TextDelta("x"), ModelFinished(reason)]


@pytest.mark.parametrize("given", ["tool_calls", "function_call"])
def test_a_reason_that_announces_tool_calls_needs_one(given: str):
    up = call(fragment(0, "c1", "up", "{}"))
    assert read(up, delta(given)) == [ToolCallDelta(0, "c1", "up", "{}"), ModelFinished("tool_calls")]
    assert "announced tool calls" in failure(delta(content="x"), delta(given)).message


@pytest.mark.parametrize("chunks", [[STOP], [STOP, DONE], [delta(content=""), STOP, DONE]])
def test_a_finish_reason_ends_the_answer(chunks: list[Any]):
    assert read(*chunks) == [END]


def test_done_ends_the_answer_of_a_server_that_knows_no_reasons():
    text = {"choices": [{"index": 0, "delta": {"content": "x"}}]}
    assert read(text, text, DONE) == [TextDelta("x"), TextDelta("x"), END]


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [delta(content="ha")],
        [{"choices": []}],
        [{"usage": {"prompt_tokens": 1}}],
        [DONE],
        [delta(content=""), DONE],
        [{"choices": [{"delta": {"content": ""}}]}, DONE],
        [delta(content="x"), DONE],
        [delta("null", content="x"), DONE],
        [delta("null", content="x"), delta("null")],
    ],
)
def test_an_answer_without_a_reason_is_truncated(chunks: list[Any]):
    assert type(failure(*chunks)) is UpstreamTruncated


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_has_either_of_two_names(name: str):
    assert read(delta(**{name: "hm"}), STOP) == [ReasoningDelta("hm"), END]


def test_begun_and_done_show_how_far_the_answer_is():
    stream = ChatStream()
    for chunk in (delta(role="assistant", content=""), {"choices": []}, delta(content=None)):
        list(stream.read(raw(chunk)))
    assert (stream.begun, stream.done) == (False, False)
    list(stream.read(raw(delta(content="x"))))
    assert (stream.begun, stream.done) == (True, False)
    list(stream.read(DONE))
    assert stream.done


@pytest.mark.parametrize("begins", [{"content": "x"}, {"reasoning": "x"}, {"tool_calls": [{"index": 0}]}])
def test_any_output_counts_as_begun(begins: dict[str, Any]):
    stream = ChatStream()
    list(stream.read(raw(delta(**begins))))
    assert stream.begun


def fragment(
    index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None
) -> dict[str, Any]:
    made: dict[str, Any] = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in made.items() if value is not None}


@pytest.mark.parametrize(
    ("chunks", "deltas"),
    [
        (
            [
                call(fragment(0, "c1", "up", "")),
                call(fragment(0, arguments='{"a"')),
                call(fragment(0, arguments=":1}")),
            ],
            [
                ToolCallDelta(0, "c1", "up"),
                ToolCallDelta(0, arguments='{"a"'),
                ToolCallDelta(0, arguments=":1}"),
            ],
        ),
        (
            [call(fragment(0, "c1", "up", "{}"), fragment(1, "c2", "down", "{}"))],
            [ToolCallDelta(0, "c1", "up", "{}"), ToolCallDelta(1, "c2", "down", "{}")],
        ),
        # Whole calls without an index, together or one after the other.
        (
            [call(fragment(None, "c1", "up", "{}"), fragment(None, "c2", "down", "{}"))],
            [ToolCallDelta(0, "c1", "up", "{}"), ToolCallDelta(1, "c2", "down", "{}")],
        ),
        (
            [call(fragment(None, "c1", "up", "{}")), call(fragment(None, "c2", "down", "{}"))],
            [ToolCallDelta(0, "c1", "up", "{}"), ToolCallDelta(1, "c2", "down", "{}")],
        ),
        (
            [call(fragment(None, "c1", "up", "{")), call(fragment(None, "c1", None, "}"))],
            [ToolCallDelta(0, "c1", "up", "{"), ToolCallDelta(0, "c1", None, "}")],
        ),
        # Neither an index nor an id.
        (
            [call(fragment(None, None, "up", "{}"), fragment(None, None, "down", "{}"))],
            [ToolCallDelta(0, None, "up", "{}"), ToolCallDelta(1, None, "down", "{}")],
        ),
        # The same index for all, with different ids; fragments without an id belong to the later call.
        (
            [
                call(fragment(0, "c1", "up", "{")),
                call(fragment(0, None, None, "}")),
                call(fragment(0, "c2", "down", "[")),
                call(fragment(0, None, None, "]")),
                call(fragment(0, "c3", "left", "{}")),
            ],
            [
                ToolCallDelta(0, "c1", "up", "{"),
                ToolCallDelta(0, None, None, "}"),
                ToolCallDelta(1, "c2", "down", "["),
                ToolCallDelta(1, None, None, "]"),
                ToolCallDelta(2, "c3", "left", "{}"),
            ],
        ),
        # The id in every fragment says which call it is, whatever the index.
        (
            [
                call(fragment(0, "c1", "up", "{"), fragment(0, "c2", "down", "[")),
                call(fragment(0, "c1", None, "}"), fragment(0, "c2", None, "]")),
            ],
            [
                ToolCallDelta(0, "c1", "up", "{"),
                ToolCallDelta(1, "c2", "down", "["),
                ToolCallDelta(0, "c1", None, "}"),
                ToolCallDelta(1, "c2", None, "]"),
            ],
        ),
        # Arguments as an object, or none at all.
        ([call(fragment(0, "c1", "up", {"a": 1}))], [ToolCallDelta(0, "c1", "up", '{"a":1}')]),
        (
            [call({"index": 0, "id": "c1", "function": {"name": "up"}})],
            [ToolCallDelta(0, "c1", "up", "{}")],
        ),
    ],
)
@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_tool_calls(chunks: list[Any], deltas: list[ToolCallDelta], reason: str):
    assert read(*chunks, delta(reason)) == [*deltas, ModelFinished("tool_calls")]


def test_text_may_come_beside_tool_calls():
    assert read(delta("length", content="Wait.", tool_calls=[fragment(0, "c1", "up", "{")])) == [
        TextDelta("Wait."),
        ToolCallDelta(0, "c1", "up", "{"),
        ModelFinished("length"),
    ]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"choices": None},
        {"choices": 5},
        {"choices": {"0": "x"}},
        {"choices": [None, 5, "x", []]},
        {"choices": [{}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": "text"}]},
        {"choices": [{"delta": [1]}]},
        {"choices": [{"index": 1, "delta": {"content": "another choice"}, "finish_reason": "length"}]},
        {"choices": [{"delta": {"content": 5}}]},
        {"choices": [{"delta": {"content": [5, None], "reasoning": {}}}]},
        {"choices": [{"delta": {"tool_calls": 5}}]},
        {"choices": [{"delta": {"tool_calls": {"a": 1}}}]},
        {"choices": [{"delta": {"tool_calls": [None, "x"]}}]},
        {"choices": [{"finish_reason": ["stop"]}]},
        {"choices": [{"finish_reason": {"a": 1}}]},
        {"usage": None},
        {"usage": 5},
        {"error": None},
        {"id": "x", "object": "keepalive"},
    ],
)
def test_malformed_parts_of_a_chunk_are_ignored(odd: dict[str, Any]):
    assert read(delta(content="a"), odd, delta(content="b"), STOP) == [TextDelta("a"), TextDelta("b"), END]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, None),
        ({"prompt_tokens": "7", "completion_tokens": None}, Usage(7)),
        ({"prompt_tokens": True, "completion_tokens": -2}, None),
        ({"prompt_tokens": 7, "prompt_tokens_details": 5, "completion_tokens_details": None}, Usage(7)),
        ({"completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": "x"}}, Usage(0, 2)),
    ],
)
def test_of_malformed_usage_what_is_plausible_counts(usage: dict[str, Any], expected: Usage | None):
    assert read({"choices": [], "usage": usage}, STOP) == [ModelFinished("stop", expected)]


def test_the_last_usage_counts():
    chunks = [
        {**delta(content="x"), "usage": {"prompt_tokens": 7}},
        {**STOP, "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
    ]
    assert read(*chunks)[-1] == ModelFinished("stop", Usage(7, 2))


@pytest.mark.parametrize("garbage", [b"<html>", b"{", b"NaN", b"[]", b'"text"', b"5", b"\xff"])
def test_what_is_not_a_chunk_is_the_providers_failure(garbage: bytes):
    error = failure(delta(content="ha"), garbage)
    assert type(error) is UpstreamError
    assert "html" not in error.message


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("it broke", UpstreamError),
        ({"message": "it broke"}, UpstreamError),
        ({}, UpstreamError),
        ([], UpstreamError),
        (5, UpstreamError),
        ({"message": "x", "code": 429}, UpstreamRateLimited),
        ({"message": "x", "status": 503}, UpstreamUnavailable),
        ({"message": "x", "code": "rate_limit_exceeded"}, UpstreamRateLimited),
        ({"message": "x", "type": "insufficient_quota"}, InsufficientQuota),
        ({"message": "x", "type": "overloaded_error"}, UpstreamUnavailable),
        ({"message": "x", "type": "invalid_request_error"}, InvalidRequest),
        ({"message": "x", "code": "context_length_exceeded"}, ContextLengthExceeded),
        ({"message": "x", "type": "invalid_request_error", "code": 400}, InvalidRequest),
        ({"message": "x", "type": "authentication_error"}, UpstreamError),
    ],
)
def test_an_error_in_the_stream(error: Any, expected: type[GatewayError]):
    assert type(failure(delta(content="ha"), {"error": error})) is expected


@pytest.mark.parametrize(
    "kind", ["invalid_request_error", "server_error", "rate_limit_error", "authentication"]
)
def test_an_error_in_the_stream_does_not_reveal_the_key(kind: str):
    assert SECRET not in failure({"error": {"message": f"bad key {SECRET}", "type": kind}}).message


KEYS = (
    "choices",
    "delta",
    "message",
    "content",
    "tool_calls",
    "function",
    "name",
    "id",
    "index",
    "arguments",
    "finish_reason",
    "usage",
    "error",
    "code",
    "prompt_tokens",
    "prompt_tokens_details",
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


def test_many_tool_calls_with_one_index_get_indexes_of_their_own():
    count = 20_000  # looking at all earlier calls for each would take minutes
    events = read(*(call(fragment(0, f"c{number}", "up", "{}")) for number in range(count)), STOP)
    assert [event.index for event in events if isinstance(event, ToolCallDelta)] == list(range(count))


@given(JSON)
def test_any_json_is_read_or_is_the_providers_failure(chunk: Any):
    for document in (
        chunk,
        {"choices": [chunk]},
        {"choices": [{"delta": chunk}]},
        {"choices": [], "usage": chunk},
    ):
        try:
            events = read(document, STOP)
        except GatewayError:
            continue
        for event in events:
            if isinstance(event, ToolCallDelta):
                assert isinstance(event.index, int)
                assert isinstance(event.arguments, str)
                assert isinstance(event.id, str | None)
                assert isinstance(event.name, str | None)


# One JSON document, though a stream was asked for


def whole(document: Any) -> list[ModelEvent]:
    return list(read_whole(raw(document), Secrets([SECRET])))


def message(reason: Any = "stop", **message: Any) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 7},
    }


def test_an_answer_that_is_one_document():
    assert whole(message(content="Hello")) == [TextDelta("Hello"), ModelFinished("stop", Usage(7))]
    calls = [{"id": "c1", "type": "function", "function": {"name": "up", "arguments": "{}"}}]
    assert whole(message("tool_calls", content=None, tool_calls=calls)) == [
        ToolCallDelta(0, "c1", "up", "{}"),
        ModelFinished("tool_calls", Usage(7)),
    ]


@pytest.mark.parametrize(
    "document", [{}, {"choices": None}, {"choices": "x"}, {"object": "list", "data": []}, [], 5, b"<html>"]
)
def test_json_that_is_not_a_completion(document: Any):
    with pytest.raises(UpstreamError):
        whole(document)


def test_an_error_that_is_one_document():
    with pytest.raises(UpstreamRateLimited):
        whole({"error": {"message": "slow down", "code": 429}})
