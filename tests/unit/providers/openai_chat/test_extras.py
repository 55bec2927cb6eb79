"""What a provider wants back with its calls is read from any chunk, and never more than is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.events.types import ExtraDelta, ModelFinished, ToolCallDelta
from app.messages import Extra
from app.providers.openai_chat.extras import MAX_MESSAGE_BYTES
from app.providers.openai_chat.stream import ChatStream

SIGNATURE = {"google": {"thought_signature": "s"}}


def call(arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {"index": 0, "id": "c1", "function": {"name": "f", "arguments": arguments}, **more}


def events(*deltas: dict[str, Any]) -> list[Any]:
    stream = ChatStream(None, "google")
    read: list[Any] = []
    for delta in deltas:
        chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        read += stream.read(json.dumps(chunk).encode())
    stream.read(b'{"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}')
    return [*read, *stream.finish()]


def of_calls(found: list[Any]) -> list[Extra | None]:
    return [one.extra for one in found if isinstance(one, ToolCallDelta) and one.extra is not None]


@pytest.mark.parametrize(
    "calls",
    [
        [call(extra_content=SIGNATURE)],
        [{"index": 0, "id": "c1", "extra_content": SIGNATURE}, call()],  # before the call is known
        [call('{"a": '), call("1}", extra_content=SIGNATURE)],
        [call(), {"index": 0, "extra_content": SIGNATURE}],  # behind the arguments
        [call(""), {"index": 0, "extra_content": SIGNATURE}],  # of a call without arguments
    ],
)
def test_what_is_wanted_back_with_a_call_may_come_with_any_fragment(calls: list[dict[str, Any]]):
    found = events(*({"tool_calls": [one]} for one in calls))
    assert of_calls(found) == [Extra({"extra_content": SIGNATURE}, "google")]


def test_what_is_wanted_back_beside_the_calls_is_put_together():
    found = events(
        {"reasoning_content": "I ", "reasoning_details": [{"n": 1}]},
        {"reasoning_content": "think."},
        {"tool_calls": [call()], "reasoning_details": [{"n": 2}]},
    )
    fields = {"reasoning_content": "I think.", "reasoning_details": [{"n": 1}, {"n": 2}]}
    assert found[-2] == ExtraDelta(Extra(fields, "google"))
    assert isinstance(found[-1], ModelFinished)


def test_blocks_of_thinking_go_back_whole_with_their_signatures():
    def thinking(text: str, signature: str = "") -> dict[str, Any]:
        return {"thinking_blocks": [{"type": "thinking", "thinking": text, "signature": signature}]}

    redacted = {"type": "redacted_thinking", "data": "x"}
    found = events(
        *(thinking("I "), thinking("think."), thinking("", "s1")),
        {"thinking_blocks": [redacted]},
        *(thinking("So"), thinking(".", "s2"), {"tool_calls": [call()]}),
    )
    assert found[-2].extra.fields["thinking_blocks"] == [
        {"type": "thinking", "thinking": "I think.", "signature": "s1"},
        redacted,
        {"type": "thinking", "thinking": "So.", "signature": "s2"},
    ]


def test_a_whole_message_behind_deltas_does_not_repeat_it():
    stream = ChatStream(None, "google")
    delta = {"reasoning_content": "hm", "tool_calls": [call()]}
    stream.read(json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode())
    whole = {"index": 0, "message": delta, "finish_reason": "tool_calls"}
    stream.read(json.dumps({"choices": [whole]}).encode())
    (extra,) = [one.extra for one in stream.finish() if isinstance(one, ExtraDelta)]
    assert extra.fields == {"reasoning_content": "hm"}


def deep(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize("odd", [7, "text", [], None, True, {"a": deep(900)}, {"a": "\ud800"}])
def test_what_cannot_be_returned_is_ignored(odd: Any):
    assert of_calls(events({"tool_calls": [call(extra_content=odd)]})) == []


@pytest.mark.parametrize("odd", [7, {}, None, deep(900)])
def test_what_cannot_be_returned_beside_the_calls_is_ignored(odd: Any):
    found = events({"tool_calls": [call()], "reasoning_details": odd})
    assert [one for one in found if isinstance(one, ExtraDelta)] == []


@pytest.mark.parametrize(
    "piece", [{"reasoning_content": "x" * 99_999}, {"reasoning_details": ["x" * 99_999]}]
)
def test_too_much_of_it_is_not_kept(piece: dict[str, Any]):
    pieces = [piece] * (MAX_MESSAGE_BYTES // 100_000 + 2)
    found = events(*pieces, {"tool_calls": [call()]})
    assert [one for one in found if isinstance(one, ExtraDelta)] == []


def test_without_calls_nothing_is_wanted_back():
    stream = ChatStream(None, "google")
    delta = {"reasoning_content": "hm", "content": "hi"}
    stream.read(json.dumps({"choices": [{"delta": delta, "finish_reason": "stop"}]}).encode())
    assert [type(one) for one in stream.finish()] == [ModelFinished]
