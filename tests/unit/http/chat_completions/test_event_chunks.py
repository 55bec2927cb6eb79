"""Chunks about what happens in a run besides its answer, for those who ask."""

from __future__ import annotations

from typing import Any

import pytest

from app.events.types import (
    ApprovalRequested,
    ApprovalResolved,
    Event,
    ExtraDelta,
    ReasoningDelta,
    TextDelta,
    ToolCalled,
    ToolReturned,
    ToolUpdated,
)
from app.http.chat_completions.encoder import (
    ChunkEncoder,
    EventChunkEncoder,
    add_run_events,
    dump_completion,
)
from app.http.run_events import WantedEvents
from app.messages import Extra, ToolCall
from app.runs.run import RunResult
from tests.unit.http.chat_completions.test_chat_encoder import END, HEAD, STARTED, USAGE, chunk, decode

ABOUT = ("chatcmpl_1", 1700000000, "openclaw:ä")
EVENTS: tuple[Event, ...] = (
    STARTED,
    ReasoningDelta("I will look."),
    TextDelta("A moment."),
    ToolCalled(ToolCall("c1", "exec", '{"command": "ls"}')),
    ApprovalRequested("a1", "c1", {"id": "a1", "status": "pending"}),
    ApprovalResolved("a1", "c1", "allow-once"),
    ToolUpdated("c1", "exec", "a"),
    ToolReturned("c1", "exec", "a\nb", details={"exitCode": 0}, seconds=0.0124),
    TextDelta("\n\nDone."),
    *END,
)
TOOLS = [
    {"type": "tool.start", "tool_call_id": "c1", "name": "exec", "arguments": {"command": "ls"}},
    {"type": "tool.update", "tool_call_id": "c1", "name": "exec", "output": "a"},
    {
        "type": "tool.result",
        "tool_call_id": "c1",
        "name": "exec",
        "output": "a\nb",
        "details": {"exitCode": 0},
        "is_error": False,
        "duration_ms": 12,
    },
]
APPROVALS = [
    {
        "type": "approval.requested",
        "approval_id": "a1",
        "tool_call_id": "c1",
        "approval": {"id": "a1", "status": "pending"},
    },
    {"type": "approval.resolved", "approval_id": "a1", "tool_call_id": "c1", "decision": "allow-once"},
]


def encoded(*wanted: Any, include_usage: bool = False, events: tuple[Event, ...] = EVENTS) -> bytes:
    encoder = EventChunkEncoder(*ABOUT, include_usage, frozenset(wanted))
    return encoder.begin() + encoder.encode(events)


def deltas_of(stream: bytes) -> list[dict[str, Any]]:
    return [one["choices"][0]["delta"] for one in decode(stream) if one != "[DONE]" and one["choices"]]


@pytest.mark.parametrize("include_usage", [False, True])
def test_what_is_not_asked_for_leaves_the_stream_as_it_is(include_usage: bool):
    plain = ChunkEncoder(*ABOUT, include_usage)
    assert encoded(include_usage=include_usage) == plain.begin() + plain.encode(EVENTS)
    assert deltas_of(plain.encode(EVENTS)) == [{"content": "A moment."}, {"content": "\n\nDone."}, {}]


@pytest.mark.parametrize(
    ("wanted", "expected"), [({"tools"}, TOOLS), ({"approvals"}, APPROVALS), ({"reasoning"}, [])]
)
def test_each_kind_alone(wanted: set[Any], expected: list[Any]):
    *chunks, end = decode(encoded(*wanted))
    assert end == "[DONE]"
    events = [one for one in chunks if "openclaw" in one]
    assert [one["openclaw"] for one in events] == expected
    assert all(one == {**HEAD, "choices": [], "openclaw": one["openclaw"]} for one in events)
    has_reasoning = chunk({"reasoning_content": "I will look."}) in chunks
    assert has_reasoning == (wanted == {"reasoning"})


def test_all_together_keep_their_order():
    *chunks, _ = decode(encoded("tools", "approvals", "reasoning", include_usage=True))
    assert [one["openclaw"]["type"] for one in chunks if "openclaw" in one] == [
        *("tool.start", "approval.requested", "approval.resolved", "tool.update", "tool.result"),
    ]
    assert all("usage" in one for one in chunks)
    rest = [one for one in chunks if "openclaw" not in one and "reasoning_content" not in str(one)]
    assert rest == decode(encoded(include_usage=True))[:-1]


def test_reasoning_that_goes_back_to_its_provider_is_sent_once():
    extra = ExtraDelta(Extra({"reasoning_content": "hm", "reasoning_details": []}, "p"))
    events = (ReasoningDelta("h"), ReasoningDelta("m"), extra)
    for wanted in ("reasoning", "tools"):
        deltas = deltas_of(encoded(wanted, events=events))
        assert "".join(one.get("reasoning_content", "") for one in deltas) == "hm"
        assert deltas[-1]["reasoning_details"] == []


def test_a_whole_answer():
    def completion(*wanted: Any) -> dict[str, Any]:
        found = dump_completion(*ABOUT, RunResult("Done.", "stop", USAGE, ()))
        kinds: WantedEvents = frozenset(wanted)
        add_run_events(found, EVENTS, kinds)
        return found

    assert completion() == dump_completion(*ABOUT, RunResult("Done.", "stop", USAGE, ()))
    result = {name: value for name, value in TOOLS[-1].items() if name != "type"}
    tools = [{**result, "arguments": {"command": "ls"}}]
    approvals = [{"approval_id": "a1", "tool_call_id": "c1", "decision": "allow-once"}]
    assert completion("tools")["openclaw"] == {"tools": tools}
    found = completion("tools", "approvals", "reasoning")
    assert found["openclaw"] == {"tools": tools, "approvals": approvals}
    assert found["choices"][0]["message"]["reasoning_content"] == "I will look."
