"""A run's events as the `agent` and `chat` events of the protocol."""

from __future__ import annotations

import pytest

from app.errors import RunAborted, UpstreamError
from app.events.types import (
    Event,
    ReasoningDelta,
    RefusalDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
)
from app.messages import ToolCall, Usage
from app.ws import encoder
from app.ws.encoder import TOOL_EVENTS, OutgoingEvent, RunEncoder

STARTED = RunStarted("r", "main", "agent:main:x", 1.5)


def encode(*events: Event) -> list[OutgoingEvent]:
    """What is sent if each event comes alone."""
    return encode_batches(*([event] for event in events))


def encode_batches(*batches: list[Event]) -> list[OutgoingEvent]:
    encoder = RunEncoder("r", "main", "agent:main:x")
    return [one for batch in batches for one in encoder.encode(batch)]


def names(sent: list[OutgoingEvent]) -> list[str]:
    return [f"{one.event} {one.payload.get('stream') or one.payload['state']}" for one in sent]


def test_events_of_tools_are_only_for_a_starter_with_the_capability():
    call = ToolCalled(ToolCall("c1", "clock", "{}"))
    sent = encode(STARTED, call, ToolReturned("c1", "clock", "noon"))
    tools = [one for one in sent if one.payload.get("stream") == "tool"]
    assert [one.only_starter_with for one in tools] == [TOOL_EVENTS, TOOL_EVENTS]
    assert [one.payload["data"]["phase"] for one in tools] == ["start", "result"]
    assert tools[1].payload["data"] == {
        "phase": "result",
        "name": "clock",
        "toolCallId": "c1",
        "isError": False,
        "result": {"content": [{"type": "text", "text": "noon"}], "details": {}},
    }
    assert [one.payload["seq"] for one in sent] == [1, 2, 3, 4, 5]


def test_text_is_sent_whole_and_flushed_before_the_final():
    sent = encode_batches([STARTED], [TextDelta("a")], [TextDelta("b "), RunFinished("stop", Usage())])
    assert names(sent) == [
        "agent lifecycle",
        "agent assistant",
        "chat delta",
        "agent assistant",
        "agent lifecycle",
        "agent lifecycle",
        "chat delta",
        "chat final",
    ]
    assert sent[3].payload["data"] == {"text": "ab ", "delta": "b "}
    assert [one.payload["deltaText"] for one in sent if one.payload.get("state") == "delta"] == ["a", "b"]
    assert sent[-1].payload["message"]["content"] == [{"type": "text", "text": "ab"}]


def test_an_empty_answer_has_no_message():
    assert "message" not in encode(STARTED, RunFinished("stop", Usage()))[-1].payload


def test_thinking_is_a_stream_of_its_own():
    sent = encode(ReasoningDelta("hm"), ReasoningDelta("m"))
    assert [one.payload["data"] for one in sent] == [
        {"text": "hm", "delta": "hm"},
        {"text": "hmm", "delta": "m"},
    ]


def test_the_ends():
    aborted = encode(TextDelta("half"), RunFailed.of(RunAborted("x"), aborted=True))
    assert (aborted[-1].payload["state"], aborted[-1].payload["stopReason"]) == ("aborted", "rpc")
    assert aborted[-1].payload["message"]["content"][0]["text"] == "half"
    failed = encode(RunFailed.of(UpstreamError("no luck")))
    assert names(failed) == ["agent lifecycle", "chat error"]
    assert failed[0].payload["data"]["phase"] == "error"
    assert failed[-1].payload["errorMessage"] == "no luck"


def test_pieces_of_a_batch_become_one_event_and_keep_their_place_among_the_others():
    call = ToolCalled(ToolCall("c1", "clock", "{}"))
    sent = encode_batches(
        [
            STARTED,
            ReasoningDelta("h"),
            ReasoningDelta("m"),
            TextDelta("a"),
            TextDelta("b"),
            call,
            TextDelta("c"),
        ]
    )
    assert names(sent) == [
        "agent lifecycle",
        "agent thinking",
        "agent assistant",
        "chat delta",
        "agent tool",
        "agent item",
        "agent assistant",
        "chat delta",
    ]
    agent = [one for one in sent if one.event == "agent"]
    assert [one.payload["data"].get("delta") for one in agent] == [None, "hm", "ab", None, None, "c"]
    assert [one.payload["seq"] for one in agent] == [1, 2, 3, 4, 5, 6]
    assert [one.payload["deltaText"] for one in sent if one.event == "chat"] == ["ab", "c"]


def test_blanks_at_the_end_of_chat_text_come_with_what_follows():
    sent = encode(TextDelta("a "), TextDelta(" "), TextDelta("b\n"), RunFinished("stop", Usage()))
    deltas = [one.payload for one in sent if one.payload.get("state") == "delta"]
    assert [one["deltaText"] for one in deltas] == ["a", "  b"]
    assert [one["message"]["content"][0]["text"] for one in deltas] == ["a", "a  b"]
    assert sent[-1].payload["message"]["content"][0]["text"] == "a  b"


def test_a_very_long_text_is_sent_in_pieces_and_whole_at_the_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encoder, "MAX_WHOLE_TEXT", 4)
    sent = encode_batches(
        [STARTED],
        [TextDelta("abcd")],
        [TextDelta("efg")],
        [ReasoningDelta("hmmmm")],
        [TextDelta("h")],
        [RunFinished("stop", Usage())],
    )
    data = [one.payload["data"] for one in sent if one.payload.get("stream") == "assistant"]
    assert data == [{"text": "abcd", "delta": "abcd"}, {"delta": "efg"}, {"delta": "h"}]
    [thinking] = [one for one in sent if one.payload.get("stream") == "thinking"]
    assert thinking.payload["data"] == {"delta": "hmmmm"}
    assert thinking.whole is not None
    assert thinking.whole()["data"] == {"text": "hmmmm", "delta": "hmmmm"}
    deltas = [one for one in sent if one.payload.get("state") == "delta"]
    assert [one.payload["deltaText"] for one in deltas] == ["abcd", "efg", "h", ""]
    assert ["message" in one.payload for one in deltas] == [True, False, False, True]
    for delta, text in zip(deltas[1:3], ("abcdefg", "abcdefgh"), strict=True):
        assert delta.whole is not None
        whole = delta.whole()
        assert whole["message"]["content"][0]["text"] == text
        assert {**whole, "message": None} == {**delta.payload, "message": None}
    assert [one.payload["message"]["content"][0]["text"] for one in sent[-2:]] == ["abcdefgh"] * 2


def test_the_text_of_an_aborted_run_is_whole_however_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encoder, "MAX_WHOLE_TEXT", 2)
    sent = encode_batches(
        [TextDelta("half an")], [TextDelta("s"), RunFailed.of(RunAborted("x"), aborted=True)]
    )
    assert names(sent)[-4:] == ["agent assistant", "agent lifecycle", "agent lifecycle", "chat aborted"]
    assert sent[-1].payload["message"]["content"][0]["text"] == "half ans"


def test_a_refusal_is_shown_as_text():
    sent = encode(STARTED, RefusalDelta("No."), RunFinished("stop", Usage()))
    assert sent[-1].payload["message"]["content"] == [{"type": "text", "text": "No."}]
