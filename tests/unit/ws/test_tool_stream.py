"""Calls of tools as the streams of the protocol: who gets what of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.auth.principal import LOCAL_OPERATOR
from app.events.types import (
    ApprovalRequested,
    ApprovalResolved,
    Event,
    ModelFinished,
    ReasoningDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
    ToolUpdated,
)
from app.messages import ToolCall, Usage
from app.ws.call import Client
from app.ws.connections import Connections
from app.ws.encoder import RunEncoder
from app.ws.feed import _Sender
from app.ws.frames import EventFrame

KEY = "agent:main:x"
STARTED = RunStarted("r", "main", KEY, 1.5, "starter", "p/m")
CALL = ToolCalled(ToolCall("c1", "exec", '{"command": "ls -la"}'))
DETAILS = {"status": "completed", "exitCode": 0, "durationMs": 12, "cwd": "/work", "aggregated": "a\nb"}
UPDATE = ToolUpdated("c1", "exec", "a")
RESULT = ToolReturned("c1", "exec", "a\nb", details=DETAILS, seconds=0.012)
END = (ModelFinished("stop", Usage(), "p/m"), RunFinished("stop", Usage()))


def streams(*events: Event) -> list[tuple[str, dict[str, Any]]]:
    encoder = RunEncoder("r", "main", KEY)
    sent = [one for event in events for one in encoder.encode([event])]
    return [(one.payload["stream"], one.payload["data"]) for one in sent if one.event == "agent"]


def of(stream: str, *events: Event) -> list[dict[str, Any]]:
    return [data for name, data in streams(*events) if name == stream]


def test_a_call_of_a_command_in_all_its_streams():
    sent = streams(CALL, UPDATE, RESULT)
    assert [f"{name} {data['phase']}" for name, data in sent] == [
        *("tool start", "item start", "tool update", "command_output delta", "item update"),
        *("tool result", "command_output end", "item end"),
    ]
    head = {"name": "exec", "toolCallId": "c1"}
    body = {"content": [{"type": "text", "text": "a\nb"}], "details": DETAILS}
    assert [data for name, data in sent if name == "tool"] == [
        {"phase": "start", **head, "args": {"command": "ls -la"}},
        {
            "phase": "update",
            **head,
            "partialResult": {"content": [{"type": "text", "text": "a"}], "details": {}},
        },
        {"phase": "result", **head, "meta": "ls -la", "isError": False, "result": body},
    ]
    about = {"itemId": "command:c1", "title": "ls -la", **head}
    assert [data for name, data in sent if name == "command_output"] == [
        {**about, "phase": "delta", "output": "a", "status": "running"},
        {
            **about,
            "phase": "end",
            "output": "a\nb",
            "status": "completed",
            "exitCode": 0,
            "durationMs": 12,
            "cwd": "/work",
        },
    ]


def test_the_card_of_a_call():
    start, update, end = of("item", CALL, ToolUpdated("c1", "exec", "a\nlast\n"), RESULT)
    started_at = start["startedAt"]
    card = {
        "itemId": "tool:c1",
        "toolCallId": "c1",
        "name": "exec",
        "kind": "tool",
        "title": "Exec",
        "meta": "ls -la",
        "startedAt": started_at,
    }
    assert start == {**card, "phase": "start", "status": "running"}
    assert update == {**card, "phase": "update", "status": "running", "progressText": "last"}
    assert end == {**card, "phase": "end", "status": "completed", "endedAt": end["endedAt"]}
    assert end["endedAt"] >= started_at
    assert of("item", CALL, ToolReturned("c1", "exec", "no", is_error=True))[-1]["status"] == "failed"


def test_only_commands_have_output_of_commands():
    read = ToolCalled(ToolCall("c2", "read", '{"path": "a"}'))
    assert of("command_output", read, ToolUpdated("c2", "read", "a"), ToolReturned("c2", "read", "a")) == []


def test_of_updates_that_come_together_the_newest_is_sent():
    encoder = RunEncoder("r", "main", KEY)
    other = ToolUpdated("c2", "exec", "other")
    batch = [CALL, *(ToolUpdated("c1", "exec", str(number)) for number in range(200)), other]
    sent = [one.payload["data"] for one in encoder.encode(batch) if one.payload.get("stream") == "tool"]
    texts = [one["partialResult"]["content"][0]["text"] for one in sent if one["phase"] == "update"]
    assert texts == ["199", "other"]


def test_the_phases_of_a_run():
    waits = ApprovalRequested("a1", "c1", {"status": "pending"})
    sent = of(
        "lifecycle",
        STARTED,
        TextDelta("First"),
        ModelFinished("tool_calls", Usage(), "p/other"),
        CALL,
        waits,
        ApprovalResolved("a1", "c1", "allow-once"),
        RESULT,
        TextDelta("Done"),
        *END,
    )
    assert [one["phase"] for one in sent] == [
        *("start", "model", "waiting-approval", "approval-resolved", "model", "finishing", "end"),
    ]
    assert sent[1] == {"phase": "model", "provider": "p", "model": "m"}
    assert sent[2] == {"phase": "waiting-approval", "approvalId": "a1", "toolCallId": "c1"}
    assert sent[3]["decision"] == "allow-once"
    end = sent[-1]
    assert (end["startedAt"], end["aborted"], end["stopReason"]) == (1500, False, "stop")
    assert end["terminalReceipt"] == {
        "runId": "r",
        "turnId": "r",
        "requested": {"provider": "p", "model": "m"},
        "effective": {"provider": "p", "model": "m"},
        "successfulToolNames": ["exec"],
        "rerouted": False,
        "terminalDisposition": "completed",
    }
    aborted = of("lifecycle", STARTED, CALL, RunFailed("aborted", "x", aborted=True))[-1]
    assert (aborted["phase"], aborted["aborted"]) == ("end", True)
    assert aborted["terminalReceipt"]["terminalDisposition"] == "aborted"
    failed = of("lifecycle", STARTED, RunFailed("upstream", "no luck"))[-1]
    assert (failed["phase"], failed["error"]) == ("error", "no luck")


class FakeConnection:
    role = "operator"
    follows_sessions = False
    principal = LOCAL_OPERATOR

    def __init__(self, name: str, protocol: int, *caps: str) -> None:
        self.id, self.protocol = name, protocol
        self.client = Client(name, "ui", "1", "test", caps=frozenset(caps))
        self.watched: set[str] = set()
        self.agent: list[dict[str, Any]] = []
        self.chats: list[dict[str, Any]] = []

    def notify(self, frame: EventFrame, *, droppable: bool = False) -> bool:
        payload = orjson.loads(frame.numbered(1))["payload"]
        (self.agent if "stream" in payload else self.chats).append(payload)
        return True

    def tools(self) -> list[str]:
        """The phases that it got, with a mark at those that have the output."""
        found = [one["data"] for one in self.agent if one["stream"] == "tool"]
        return [one["phase"] + "+" * bool(one.keys() & {"result", "partialResult"}) for one in found]

    def streams(self) -> set[str]:
        return {one["stream"] for one in self.agent}


ALL, WITHOUT = ["start", "update+", "result+"], ["start", "update", "result"]


@pytest.mark.parametrize(
    ("verbose", "starter_of_3", "old"),
    [(None, WITHOUT, []), ("off", WITHOUT, []), ("on", WITHOUT, WITHOUT), ("full", ALL, ALL)],
)
def test_who_gets_what_of_tools(verbose: str | None, starter_of_3: list[str], old: list[str]):
    for protocol, expected in ((4, ALL), (3, starter_of_3)):
        starter = FakeConnection("starter", protocol, "tool-events")
        others = FakeConnection("other", 4, "tool-events"), FakeConnection("bare", 4)
        older = FakeConnection("old", 3)
        connections = Connections()
        connections._ticking = True
        for one in (starter, *others, older):
            connections.add(one)  # type: ignore[arg-type]
        run = RunStarted("r", "main", KEY, 1.5, "starter", "p/m", verbose)
        sender = _Sender(run, connections)
        for event in (run, CALL, UPDATE, RESULT, *END):
            sender.send([event])
        assert starter.tools() == expected
        assert older.tools() == old
        for other in others:
            assert other.streams() == {"lifecycle", "item"}


def test_the_last_message_repeats_nothing_for_those_who_show_calls_between_texts():
    connections = Connections()
    connections._ticking = True
    shows, bare = FakeConnection("shows", 4, "tool-events"), FakeConnection("bare", 4)
    old = FakeConnection("old", 3, "tool-events")
    for one in (shows, bare, old):
        connections.add(one)  # type: ignore[arg-type]
    sender = _Sender(STARTED, connections)
    for event in (TextDelta("Look."), CALL, RESULT, TextDelta("\n\nDone."), END[-1]):
        sender.send([event])
    texts = [one.chats[-1]["message"]["content"][0]["text"] for one in (shows, bare, old)]
    assert texts == ["Done.", "Look.\n\nDone.", "Look.\n\nDone."]


def test_a_run_that_says_nothing_after_its_last_call_has_no_last_message():
    connections = Connections()
    connections._ticking = True
    shows = FakeConnection("shows", 4, "tool-events")
    connections.add(shows)  # type: ignore[arg-type]
    _Sender(STARTED, connections).send([TextDelta("Look."), CALL, RESULT, END[-1]])
    assert "message" not in shows.chats[-1]


@pytest.mark.parametrize(("level", "seen"), [(None, False), ("on", False), ("stream", True)])
def test_reasoning_is_sent_where_the_session_wants_it(level: str | None, seen: bool):
    connections = Connections()
    connections._ticking = True
    watcher = FakeConnection("w", 4)
    connections.add(watcher)  # type: ignore[arg-type]
    run = RunStarted("r", "main", KEY, 1.5, reasoning=level)
    _Sender(run, connections).send([run, ReasoningDelta("hm"), *END])
    assert ("thinking" in watcher.streams()) == seen
