"""Failures within an answer, calls, text and token counts, as servers really send them."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from app.errors import GatewayError, UpstreamError, UpstreamTruncated
from app.events.types import (
    ModelEvent,
    ModelFinished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from app.messages import Usage
from app.providers.http.secrets import Secrets
from app.providers.http.sse import JsonSseDecoder
from app.providers.openai_chat import tool_calls
from app.providers.openai_chat.answer_body import read_whole
from app.providers.openai_chat.stream import ChatStream


def read(*chunks: Any) -> list[ModelEvent]:
    stream = ChatStream()
    events = [event for chunk in chunks for event in stream.read(raw(chunk))]
    return [*events, *stream.finish()]


def raw(chunk: Any) -> bytes:
    return chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()


def delta(reason: Any = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def text_of(*chunks: Any) -> str:
    return "".join(event.text for event in read(*chunks) if isinstance(event, TextDelta))


def calls_of(*chunks: Any) -> list[tuple[str | None, str, str]]:
    """(id, name, arguments) of each call, as a client puts them together from the events."""
    calls: dict[int, list[Any]] = {}
    for event in read(*chunks):
        if isinstance(event, ToolCallDelta):
            one = calls.setdefault(event.index, [event.id, event.name or "", ""])
            one[2] += event.arguments
    return [(one[0], one[1], one[2]) for _, one in sorted(calls.items())]


STOP = delta("stop")


# Failures


@pytest.mark.parametrize(
    "chunk",
    [
        {"object": "error", "message": "it broke"},
        {"type": "error", "message": "it broke"},
        {"status": "error", "message": "it broke"},
        {"message": "it broke", "code": "InternalError", "request_id": "x"},
        {"msg": "it broke", "code": 1302},
        {"detail": "it broke"},
        {"errors": [{"message": "it broke"}]},
        {"success": False, "message": "it broke"},
        {"base_resp": {"status_code": 1002, "status_msg": "it broke"}},
        {"choices": [{"index": 0, "delta": {}, "error": {"message": "it broke"}, "finish_reason": "error"}]},
        {"error": {"error": {"message": "it broke"}}},
        [{"error": {"message": "it broke"}}],
    ],
)
def test_a_failure_in_any_form_is_no_answer(chunk: Any):
    with pytest.raises(GatewayError, match="it broke"):
        read(delta(content="half"), chunk, STOP, b"[DONE]")


@pytest.mark.parametrize(
    "chunk",
    [
        {"error": None},
        {"error": ""},
        {"error": False},
        {"choices": [], "code": 200, "msg": "ok"},
        {"base_resp": {"status_code": 0, "status_msg": ""}},
        {"message": "processing"},
        {"type": "ping"},
    ],
)
def test_what_only_looks_like_a_failure_is_none(chunk: Any):
    assert text_of(delta(content="a"), chunk, delta(content="b"), STOP) == "ab"


@pytest.mark.parametrize(
    "text", ["Internal Server Error", "error: it broke", "stream timeout", "503 Service Unavailable\nRetry."]
)
def test_a_text_that_names_a_failure_is_one(text: str):
    with pytest.raises(GatewayError, match=text.split("\n")[0]):
        read({"choices": [{"delta": {"content": "half"}}]}, text.encode(), b"[DONE]")


def test_a_failure_in_plain_text_has_no_secret():
    stream = ChatStream(Secrets(("provider-key-canary",)))
    with pytest.raises(GatewayError) as raised:
        stream.read(b"error: bad key provider-key-canary")
    assert "provider-key-canary" not in raised.value.message


def test_a_message_in_place_of_an_answer_explains_why_there_is_none():
    with pytest.raises(GatewayError, match="the model is loading"):
        read({"message": "the model is loading"}, b"[DONE]")


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource", "OTHER", "xyz"])
def test_a_reason_that_is_a_failure_or_unknown_is_named(reason: str):
    with pytest.raises(UpstreamError, match=reason):
        read(delta(content="half"), delta(reason), b"[DONE]")


def test_stop_behind_another_reason_does_not_hide_it():
    assert read(delta("length", content="x"), STOP)[-1] == ModelFinished("length")
    assert read(delta("stop", content="x"), delta("length"))[-1] == ModelFinished("length")


def test_a_refusal_is_kept_apart_from_the_text():
    assert read(delta(refusal="I ca"), delta(refusal="n't."), STOP) == [
        RefusalDelta("I ca"),
        RefusalDelta("n't."),
        ModelFinished("stop"),
    ]
    part = {"type": "refusal", "refusal": "No."}
    assert read(delta("stop", content=[part])) == [RefusalDelta("No."), ModelFinished("stop")]


def test_events_with_a_name_are_read_by_it():
    def payloads(text: bytes) -> list[bytes]:
        return JsonSseDecoder().feed(text)

    assert payloads(b'event: error\ndata: {"message":"x"}\n\n') == [b'{"error":{"message":"x"}}']
    assert payloads(b"event: error\ndata: it broke\n\n") == [b'{"error":"it broke"}']
    assert payloads(b'event: ping\ndata: {"message":"x"}\n\n') == []
    assert payloads(b'event: message\ndata: {"a":1}\n\n') == [b'{"a":1}']


# Tool calls


def fragment(
    index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None
) -> dict[str, Any]:
    made: dict[str, Any] = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in made.items() if value is not None}


def call(*fragments: Any) -> dict[str, Any]:
    return delta(tool_calls=list(fragments))


CALLS: dict[str, tuple[list[Any], list[tuple[str | None, str, str]]]] = {
    "the index as text": (
        [
            call(fragment("1", "b", "g", "{")),
            call(fragment("0", "a", "f", "{}")),
            call(fragment("1", None, None, "}")),
        ],
        [("a", "f", "{}"), ("b", "g", "{}")],
    ),
    "an id that is another one in each piece": (
        [
            call(fragment(0, "a", "f", '{"x"')),
            call(fragment(0, "b", None, ":1")),
            call(fragment(0, "c", None, "}")),
        ],
        [("a", "f", '{"x":1}')],
    ),
    "id and name other and the same in each piece": (
        [call(fragment(0, "a", "f", '{"x"')), call(fragment(0, "b", "f", ":1}"))],
        [("a", "f", '{"x":1}')],
    ),
    "no index, and an id that is another one in each piece": (
        [call(fragment(None, "a", "f", '{"x"')), call(fragment(None, "b", None, ":1}"))],
        [("a", "f", '{"x":1}')],
    ),
    "the name in each piece": (
        [call(fragment(0, "a", "f", '{"x"')), call(fragment(0, "a", "f", ":1}"))],
        [("a", "f", '{"x":1}')],
    ),
    "the name as far as it has come": (
        [call(fragment(0, "a", "get_")), call(fragment(0, None, "get_weather", "{}"))],
        [("a", "get_weather", "{}")],
    ),
    "the name in three pieces": (
        [
            call(fragment(0, "a", "get_")),
            call(fragment(0, None, "wea")),
            call(fragment(0, None, "ther", "{}")),
        ],
        [("a", "get_weather", "{}")],
    ),
    "the id behind the name": (
        [call(fragment(0, None, "f")), call(fragment(0, "a", None, "{}"))],
        [("a", "f", "{}")],
    ),
    "neither index nor id, one after the other": (
        [
            call(fragment(None, None, "f", '{"x"')),
            call(fragment(None, None, None, ":1}")),
            call(fragment(None, None, "g", "{}")),
        ],
        [(None, "f", '{"x":1}'), (None, "g", "{}")],
    ),
    "neither index nor id, the same tool twice": (
        [call(fragment(None, None, "f", '{"x":1}')), call(fragment(None, None, "f", '{"x":2}'))],
        [(None, "f", '{"x":1}'), (None, "f", '{"x":2}')],
    ),
    "neither index nor id, several in each chunk": (
        [
            call(fragment(None, None, "f", "{"), fragment(None, None, "g", "[")),
            call(fragment(None, None, None, "}"), fragment(None, None, None, "]")),
        ],
        [(None, "f", "{}"), (None, "g", "[]")],
    ),
    "one index, without ids, for two whole calls": (
        [call(fragment(0, None, "f", '{"x":1}')), call(fragment(0, None, "g", '{"x":2}'))],
        [(None, "f", '{"x":1}'), (None, "g", '{"x":2}')],
    ),
    "neither index nor id, the same call twice": (
        [call(fragment(None, None, "f", "{}")), call(fragment(None, None, "f", "{}"))],
        [(None, "f", "{}"), (None, "f", "{}")],
    ),
    "one index, without ids, the same call twice in a chunk": (
        [call(fragment(0, None, "f", "{}"), fragment(0, "", "f", "{}"))],
        [(None, "f", "{}"), (None, "f", "{}")],
    ),
    "an id that is the word null": (
        [call(fragment(0, "a", "f", "{")), call(fragment(0, "null", None, "}"))],
        [("a", "f", "{}")],
    ),
    "an id that is another one in an empty piece": (
        [call(fragment(0, "a", "f", "{}")), call(fragment(0, "b", None, ""))],
        [("a", "f", "{}")],
    ),
    "one index, and the second call's id before its name": (
        [
            call(fragment(0, "a", "f", "{}")),
            call(fragment(0, "b", None, "")),
            call(fragment(0, None, "f", "")),
            call(fragment(0, None, None, '{"x":1}')),
        ],
        [("a", "f", "{}"), ("b", "f", '{"x":1}')],
    ),
    "one id for two calls with different indexes": (
        [call(fragment(0, "a", "f", "{}"), fragment(1, "a", "g", "{}"))],
        [("a", "f", "{}"), (None, "g", "{}")],
    ),
    "a whole call again behind its pieces": (
        [
            call(fragment(0, "a", "f", '{"x"')),
            call(fragment(0, None, None, ":1}")),
            call(fragment(0, "a", "f", '{"x":1}')),
        ],
        [("a", "f", '{"x":1}')],
    ),
    "function_call of old": (
        [delta(function_call={"name": "f", "arguments": '{"x"'}), delta(function_call={"arguments": ":1}"})],
        [(None, "f", '{"x":1}')],
    ),
    "no arguments at all": (
        [call(fragment(0, "a", "f")), call(fragment(1, "b", "g", ""))],
        [("a", "f", "{}"), ("b", "g", "{}")],
    ),
    "arguments that are null": (
        [call({"index": 0, "id": "a", "function": {"name": "f", "arguments": None}})],
        [("a", "f", "{}")],
    ),
    "arguments before the name": (
        [call(fragment(0, "a", None, '{"x"')), call(fragment(0, None, "f", ":1}"))],
        [("a", "f", '{"x":1}')],
    ),
    "one call that is not in a list": ([delta(tool_calls=fragment(0, "a", "f", "{}"))], [("a", "f", "{}")]),
    "a call without `function`": (
        [call({"id": "a", "name": "f", "arguments": {"x": 1}})],
        [("a", "f", '{"x":1}')],
    ),
    "an index that is no position": ([call(fragment(2**40, "a", "f", "{}"))], [("a", "f", "{}")]),
    "a whole message behind its deltas": (
        [
            call(fragment(0, "a", "f", "{}")),
            {"choices": [{"message": {"tool_calls": [fragment(0, "a", "f", "{}")]}}]},
        ],
        [("a", "f", "{}")],
    ),
    "a whole message with calls behind streamed text": (
        [
            delta(content="x"),
            {"choices": [{"message": {"content": "x", "tool_calls": [fragment(0, "a", "f", "{}")]}}]},
        ],
        [("a", "f", "{}")],
    ),
}


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_calls_are_put_together(what: str, reason: str):
    chunks, calls = CALLS[what]
    assert calls_of(*chunks, delta(reason)) == calls


def test_a_call_has_its_id_and_name_in_its_first_event():
    events = read(
        call(fragment(0, None, "get_")),
        call(fragment(0, "a", "x")),
        call(fragment(0, None, None, "{}")),
        STOP,
    )
    assert events[:2] == [ToolCallDelta(0, "a", "get_x"), ToolCallDelta(0, arguments="{}")]


def test_a_call_without_a_name_is_no_success():
    with pytest.raises(UpstreamError, match="without a name"):
        read(call(fragment(0, "a", None, "{}")), STOP)


def test_arguments_that_are_not_json_are_passed_on_with_a_note_in_the_log(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "app.providers"):
        assert calls_of(call(fragment(0, "a", "f", '{"x":')), STOP) == [("a", "f", '{"x":')]
        assert "not JSON" in caplog.text
        caplog.clear()
        assert calls_of(call(fragment(0, "a", "f", '{"x":')), delta("length")) == [("a", "f", '{"x":')]
    assert caplog.text == "", "an answer that was cut off says so itself"


def test_a_call_that_was_cut_off_has_no_made_up_arguments():
    assert calls_of(call(fragment(0, "a", "f")), delta("length")) == [("a", "f", "")]


@pytest.mark.parametrize(
    "piece", [fragment(0, None, "x" * 1000), fragment(0, None, None, "x" * 1000), fragment(None, "x" * 999)]
)
def test_what_is_held_back_is_bounded(piece: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tool_calls, "MAX_HELD_BYTES", 100_000)
    with pytest.raises(UpstreamError, match="too many"):
        read(*[call(piece)] * 200)


# Text


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"delta": {"content": "Hi"}}]},
        {"choices": [{"index": "0", "delta": {"content": "Hi"}}]},
        {"choices": [{"index": 0.0, "delta": {"content": "Hi"}}]},
        {"choices": [{"index": 1, "delta": {"content": "Hi"}}]},
        {"choices": [{"index": None, "delta": {"content": "Hi"}}]},
        {"choices": [{"index": 0, "text": "Hi"}]},
        {"choices": [{"index": 0, "delta": {"content": {"type": "text", "text": "Hi"}}}]},
        {"choices": [{"index": 0, "delta": {"content": ["H", "i"]}}]},
        {"choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": {"value": "Hi"}}]}}]},
        {"choices": [{"index": 0, "message": {"content": "Hi"}}]},
        {"choices": [{"index": 0, "message": {"content": "Hi"}, "delta": None}]},
        [{"choices": [{"delta": {"content": "Hi"}}]}],
    ],
)
def test_the_text_of_the_only_choice_is_found(chunk: Any):
    assert text_of(chunk, {"choices": [{"delta": {}, "finish_reason": "stop"}]}) == "Hi"


def test_of_several_choices_one_is_read():
    def of(index: int, text: str, reason: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}]}

    assert text_of(of(1, "b"), of(0, "a"), of(1, "b"), of(0, "a", "stop"), of(1, "", "stop")) == "bb"


def test_messages_that_grow_are_not_repeated():
    grown = [{"choices": [{"message": {"content": "Hi there"[:end]}}]} for end in (2, 4, 8, 8)]
    assert text_of(*grown, STOP) == "Hi there"


def test_the_reasoning_among_the_parts_is_no_text():
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    assert read(delta("stop", content=[part, {"type": "text", "text": "Hi"}])) == [
        TextDelta("Hi"),
        ReasoningDelta("hm"),
        ModelFinished("stop"),
    ]


def cut(text: bytes, field: str = "content") -> bytes:
    """A delta with `text` as it is, between the quotes."""
    return b'{"choices":[{"index":0,"delta":{"%b":"%b"},"finish_reason":null}]}' % (field.encode(), text)


@pytest.mark.parametrize("before", [b"", b"x"])
@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([b"\\ud83d", b"\\ude00!"], "😀!"),
        ([b"a\\ud83d", b"b"], "a\ufffdb"),
        ([b"a\\ude00b"], "a\ufffdb"),
        ([b"a\\ud83d"], "a\ufffd"),
        ([b"\\ud83d", b"\\ud83d", b"\\udc80"], "\ufffd💀"),
        ([b"\xf0", b"\x9f", b"\x98", b"\x80b"], "😀b"),
        ([b"\xf0\x9f", b"\x98\x80b"], "😀b"),
        ([b"\xc3", b"\xa4"], "ä"),
        ([b"\xe2\x82", b"\xac"], "€"),
        ([b"\xf0\x9f", b"b"], "\ufffdb"),
        ([b"\xffa"], "\ufffda"),
        ([b"a\xf0\x9f\x98"], "a\ufffd"),
    ],
)
def test_halves_of_characters_are_joined(before: bytes, pieces: list[bytes], text: str):
    chunks = [cut(before), *map(cut, pieces), STOP]
    assert text_of(*chunks) == before.decode() + text
    thought = read(*(cut(piece, "reasoning") for piece in pieces), STOP)
    assert "".join(event.text for event in thought if isinstance(event, ReasoningDelta)) == text


def test_halves_of_characters_are_joined_in_a_list_of_chunks():
    whole, half, other = cut(b"a"), cut(b"\\ud83d"), cut(b"\\ude00")
    assert text_of(b"[%b,%b]" % (whole, half), b"[%b,%b]" % (other, whole), STOP) == "a😀a"
    assert text_of(b"[%b,%b]" % (half, other), b"[%b,%b,%b]" % (whole, half, other), STOP) == "😀a😀"


@pytest.mark.parametrize(
    "number", ["NaN", "nan", "-NaN", "Infinity", "-Infinity", "inf", "-inf", "1e999", "9" * 5000]
)
def test_a_number_never_loses_an_answer(number: str):
    chunk = '{"choices":[{"index":0,"delta":{"content":"NaN, inf \\" NaN"},"logprobs":%s}],"x":[%s]}'
    assert text_of((chunk % (number, number)).encode(), STOP) == 'NaN, inf " NaN'


@pytest.mark.parametrize(
    "noise", [b"", b" ", b"null", b"ping", b"2023-02-20 08:40:33", b"keep-alive", b": x", b"{}"]
)
def test_noise_is_no_part_of_an_answer(noise: bytes):
    assert text_of(noise, delta(content="a"), noise, delta(content="b"), noise, STOP, noise) == "ab"


def test_nothing_is_read_behind_done():
    behind = [
        b"{oops",
        b"<html>",
        delta(content="ghost"),
        {"error": {"message": "late"}},
        delta("length"),
        b"[DONE]",
    ]
    assert read(delta(content="Hi"), STOP, b"[DONE] ", *behind) == [TextDelta("Hi"), ModelFinished("stop")]


def test_events_with_one_line_end_between_them_come_at_once():
    decoder = JsonSseDecoder()
    assert decoder.feed(b'data: {"a":1}\n') == [b'{"a":1}']
    assert decoder.feed(b'event: x\ndata: {"b"') == []
    assert decoder.feed(b":2}\ndata: ping\ndata: [DONE]\n") == [b'{"b":2}', b"ping", b"[DONE]"]
    assert decoder.end() == []


def test_an_event_in_many_lines_is_one_payload_however_it_is_split():
    text = b'data: {\ndata:  "a": 1,\ndata:  "b": [\ndata:  ]\ndata: }\n\ndata: {"c":3}\n\n'
    decoder = JsonSseDecoder()
    payloads = [payload for at in range(len(text)) for payload in decoder.feed(text[at : at + 1])]
    assert list(map(json.loads, payloads)) == [{"a": 1, "b": []}, {"c": 3}]


def test_a_document_in_lines_is_a_stream():
    lines = b"\n".join(map(raw, [delta(content="a"), delta(content="b"), STOP]))
    assert [event for event in read_whole(lines, None) if isinstance(event, TextDelta)] == [
        TextDelta("a"),
        TextDelta("b"),
    ]


def test_a_document_in_lines_without_a_reason_is_truncated():
    chunk = raw({"choices": [{"delta": {"content": "Hi"}}]})
    with pytest.raises(UpstreamTruncated):
        list(read_whole(chunk + b"\n" + chunk, None))
    whole = list(read_whole(chunk + b"\n" + chunk + b"\ndata: [DONE]\n", None))
    assert whole == [TextDelta("Hi"), TextDelta("Hi"), ModelFinished("stop")]


def test_a_document_without_a_reason_is_truncated_if_it_has_a_place_for_one():
    def document(**more: Any) -> bytes:
        return raw({"choices": [{"message": {"content": "Hi"}, **more}]})

    with pytest.raises(UpstreamTruncated):
        list(read_whole(document(finish_reason=None), None))
    assert list(read_whole(document(), None)) == [TextDelta("Hi"), ModelFinished("stop")]


# Usage


REAL = {"prompt_tokens": 7, "completion_tokens": 2}


@pytest.mark.parametrize(
    "chunks",
    [
        [{"choices": [], "usage": REAL}],
        [{"choices": [{"index": 0, "delta": {}, "usage": REAL}]}],
        [{"choices": [], "x_groq": {"usage": REAL}}],
        [{"choices": [], "usage": {"input_tokens": 7, "output_tokens": 2}}],
        [{"choices": [], "usage": {"prompt_tokens": "7", "completion_tokens": "2"}}],
        [{"choices": [], "usage": {"prompt_tokens": 7.0, "completion_tokens": 2.0}}],
        [{"choices": [], "usage": {"prompt_tokens": 7, "total_tokens": 9}}],
        [
            {"choices": [], "usage": REAL},
            {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}},
        ],
        [{"choices": [], "usage": REAL}, {"choices": [], "usage": {}}],
        [{"choices": [], "usage": REAL}, {"choices": [], "usage": None}],
        [
            {"choices": [], "usage": REAL},
            {"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 2**63}},
        ],
        [
            {"choices": [], "usage": REAL},
            b'{"choices":[],"usage":{"prompt_tokens":NaN,"completion_tokens":1e999}}',
        ],
        [
            {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
            {"choices": [], "usage": REAL},
        ],
    ],
)
def test_the_last_plausible_counts_stand(chunks: list[Any]):
    assert read(*chunks, delta("stop", content="x"))[-1] == ModelFinished("stop", Usage(7, 2))


@pytest.mark.parametrize(
    "usage", [{}, [], "7", 0, {"prompt_tokens": 0}, {"prompt_tokens": -3}, {"prompt_tokens": {}}, None]
)
def test_counts_that_cannot_be_right_are_none(usage: Any):
    assert read({"choices": [], "usage": usage}, STOP) == [ModelFinished("stop", None)]


def test_cached_and_reasoning_tokens_have_several_names():
    deepseek = {**REAL, "prompt_cache_hit_tokens": 3, "reasoning_tokens": 1}
    responses = {
        "input_tokens": 7,
        "output_tokens": 2,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens_details": {"reasoning_tokens": 1},
    }
    for usage in (deepseek, responses):
        assert read({**STOP, "usage": usage})[-1] == ModelFinished("stop", Usage(7, 2, 3, 1))
