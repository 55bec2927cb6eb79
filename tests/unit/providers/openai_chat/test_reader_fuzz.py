"""Whatever the order of its chunks, the noise among them and the places where its bytes are cut: an answer is
read as exactly its text and its calls, or it is an error. Never a wrong success.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from app.agents.turn import MemoryBudget, Turn, run_turn
from app.errors import GatewayError
from app.messages import Message
from app.providers.base import ModelCall
from app.providers.http.sse import JsonSseDecoder
from app.providers.openai_chat.stream import ChatStream

CALL = ModelCall("m", (Message("user", "hi"),))

Outcome = tuple[str, list[tuple[str, str]], str]  # text, calls as (name, arguments), finish reason


class Script(NamedTuple):
    """An answer as events, and what it says."""

    events: list[bytes]
    right: Outcome


def read(pieces: list[bytes]) -> Outcome | None:
    """What is read from a body in these pieces, None for an error. As app/.../answer_body.py does it."""
    decoder, stream, turn = JsonSseDecoder(), ChatStream(), Turn(MemoryBudget(10**9))

    def events() -> Any:
        for piece in pieces:
            for payload in decoder.feed(piece):
                yield from stream.read(payload)
        for payload in decoder.end():
            yield from stream.read(payload)
        yield from stream.finish()

    try:
        for _ in run_turn(turn, CALL, events()):
            pass
    except GatewayError:
        return None
    return turn.text, [(one.name, one.arguments) for one in turn.tool_calls], turn.reason


def chunk(delta: Any, reason: str | None = None) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def cut_up(draw: st.DrawFn, text: str) -> list[str]:
    edges = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in pairwise([0, *edges, len(text)])]


def call_fragments(draw: st.DrawFn, number: int, name: str, arguments: str) -> list[Any]:
    """The fragments of one call, in the manner of one of the servers that there are."""
    manner = draw(st.sampled_from(["openai", "whole", "late name", "ids change", "text index", "name again"]))
    pieces = cut_up(draw, arguments)
    index: Any = str(number) if manner == "text index" else number
    call_id = f"call_{number}"
    if manner == "whole":
        return [{"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}]
    first = {"index": index, "id": call_id, "function": {"name": name, "arguments": ""}}
    if manner == "late name":
        first = {"index": index, "id": call_id, "function": {"arguments": ""}}
        pieces = ["", *pieces]
    rest: list[Any] = [{"index": index, "function": {"arguments": piece}} for piece in pieces]
    if manner == "late name":
        rest[0]["function"]["name"] = name
    for position, fragment in enumerate(rest):
        if manner == "ids change":
            fragment["id"] = f"call_{number}_{position}"
        if manner == "name again":
            fragment["function"]["name"] = name
    return [first, *rest]


def interleaved(draw: st.DrawFn, rows: list[list[Any]]) -> list[Any]:
    """The items of all rows, each row in its order."""
    rows = [list(row) for row in rows if row]
    mixed = []
    while rows:
        row = draw(st.sampled_from(rows))
        mixed.append(row.pop(0))
        rows = [one for one in rows if one]
    return mixed


NOISE = [
    b": keepalive",
    b": OPENROUTER PROCESSING",
    b"event: ping\ndata: {}",
    b"event: ping\ndata: 2023-02-20 08:40:33",
    b"data: ping",
    b"data: null",
    b"data: ",
    b"data: {}",
    b"id: 7",
    b"retry: 100",
    b'data: {"choices":[]}',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":null}]}',
    b'data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]}',
    b'data: {"choices":[{"index":0,"delta":{"content":null},"logprobs":NaN,"finish_reason":null}]}',
    b'data: {"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":9e99}}',
    b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}',
    b'data: {"choices":[{"index":0,"delta":{"reasoning":"hm"},"finish_reason":null}]}',
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":"null"}]}',
]
NAMES = st.sampled_from(["f", "get_weather", "lookup"])
ARGUMENTS = st.dictionaries(st.text(max_size=3), st.text(max_size=4) | st.integers(0, 99), max_size=2)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    text = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
    calls = draw(st.lists(st.tuples(NAMES, ARGUMENTS.map(lambda one: json.dumps(one))), max_size=3))
    ascii_only = draw(st.booleans())
    rows = [[{"content": piece} for piece in cut_up(draw, text)]]
    rows += [
        [{"tool_calls": [fragment]} for fragment in call_fragments(draw, number, *call)]
        for number, call in enumerate(calls)
    ]
    chunks = [chunk({"role": "assistant", "content": ""})]
    chunks += [chunk(delta) for delta in interleaved(draw, rows)]
    reason = draw(
        st.sampled_from(["tool_calls", "stop", "STOP"] if calls else ["stop", "length", "MAX_TOKENS"])
    )
    chunks.append(chunk({}, reason))
    if draw(st.booleans()):
        chunks.append(
            {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": text or None}}]}
        )
    events = [b"data: " + json.dumps(one, ensure_ascii=ascii_only).encode() for one in chunks]
    for _ in range(draw(st.integers(0, 3))):
        events.insert(draw(st.integers(0, len(events))), draw(st.sampled_from(NOISE)))
    events.append(b"data: [DONE]")
    for _ in range(draw(st.integers(0, 2))):
        behind = st.sampled_from(
            [*NOISE, b"data: {oops", b"data: " + json.dumps(chunk({"content": "x"})).encode()]
        )
        events.append(draw(behind))
    expected = {"STOP": "stop", "MAX_TOKENS": "length"}.get(reason, reason)
    return Script(events, (text, calls, "tool_calls" if calls else expected))


def body_of(events: list[bytes], line_end: bytes, between: int) -> bytes:
    return b"".join(event.replace(b"\n", line_end) + line_end * between for event in events)


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(scripts(), LINE_ENDS, st.lists(st.integers(0, 3000), max_size=8))
def test_an_answer_is_read_exactly_wherever_its_bytes_are_split(
    script: Script, line_end: bytes, cuts: list[int]
):
    body = body_of(script.events, line_end, between=2)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert read([body[start:end] for start, end in pairwise(edges)]) == script.right
    assert read([bytes([byte]) for byte in body]) == script.right


@given(scripts(), LINE_ENDS, st.integers(0, 3000))
def test_one_line_end_between_events_is_enough(script: Script, line_end: bytes, cut: int):
    body = body_of(script.events, line_end, between=1)
    assert read([body[:cut], body[cut:]]) in (script.right, None)


@given(scripts(), st.integers(0, 3000))
def test_an_answer_that_is_cut_is_exact_or_an_error(script: Script, cut: int):
    body = body_of(script.events, b"\n", between=2)
    assert read([body[: cut % (len(body) + 1)]]) in (script.right, None)


FAILURES = st.sampled_from(
    [
        b'data: {"error":{"message":"x"}}',
        b'data: {"object":"error","message":"x"}',
        b"event: error\ndata: x",
        b'event: error\ndata: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"what"}]}',
        b"data: {oops",
        b"data: <html>",
        b'data: "text"',
    ]
)


@given(scripts(), FAILURES, st.data())
def test_a_failure_anywhere_before_the_end_is_an_error(script: Script, failure: bytes, data: st.DataObject):
    end = script.events.index(b"data: [DONE]")
    place = data.draw(st.integers(0, end))
    events = [*script.events[:place], failure, *script.events[place:]]
    assert read([body_of(events, b"\n", between=2)]) is None


@given(scripts(), st.data())
def test_an_answer_without_its_reason_is_an_error(script: Script, data: st.DataObject):
    events = [event for event in script.events if not _has_reason(event)]
    assert read([body_of(events, b"\n", between=2)]) is None


def _has_reason(event: bytes) -> bool:
    return any(
        b'"finish_reason": "%b"' % reason in event
        for reason in (b"stop", b"STOP", b"length", b"tool_calls", b"MAX_TOKENS")
    )


@given(scripts(), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=3))
def test_damaged_bytes_never_break_the_reader(script: Script, damage: list[tuple[int, int]]):
    body = bytearray(body_of(script.events, b"\n", between=2))
    for place, byte in damage:
        body[place % len(body)] = byte
    outcome = read([bytes(body)])
    assert outcome is None or outcome[2] in ("stop", "length", "tool_calls", "content_filter")
