"""A run's events as the protocol tells them."""

from __future__ import annotations

from app.errors import RunAborted, UpstreamError
from app.events.types import (
    ReasoningDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
)
from app.messages import ToolCall, Usage
from app.ws.encoder import TOOL_EVENTS, OutgoingEvent, RunEncoder

STARTED = RunStarted("r", "main", "agent:main:x", 1.5)


def encode(*events: object) -> list[OutgoingEvent]:
    encoder = RunEncoder("r", "main", "agent:main:x")
    return [one for event in events for one in encoder.encode([event])]  # type: ignore[list-item]


def names(sent: list[OutgoingEvent]) -> list[str]:
    return [f"{one.event} {one.payload.get('stream') or one.payload['state']}" for one in sent]


def test_tools_are_told_only_to_the_starter_who_asked():
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
        "result": "noon",
    }
    assert [one.payload["seq"] for one in sent] == [1, 2, 3]


def test_text_is_told_whole_and_flushed_before_the_final():
    sent = encode(STARTED, TextDelta("a"), TextDelta("b "), RunFinished("stop", Usage()))
    assert names(sent) == [
        "agent lifecycle",
        "agent assistant",
        "chat delta",
        "agent assistant",
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
