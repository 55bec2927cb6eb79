"""How the events of runs reach connections: how often, and what a slow or late one gets."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest

from app.auth.principal import LOCAL_OPERATOR
from app.events.bus import MemoryBus
from app.events.log import EventLog
from app.events.types import RunFinished, RunStarted, TextDelta
from app.messages import Usage
from app.ws import encoder, feed
from app.ws.call import Client
from app.ws.connections import Connections
from app.ws.feed import Feed
from app.ws.frames import EventFrame
from tests.support.provider import wait_until

SESSION = "agent:main:x"


class FakeConnection:
    """A connection of an operator. While `is_slow`, it takes no droppable events."""

    role = "operator"
    follows_sessions = False
    protocol = 4
    client = Client("cli", "cli", "1", "test")

    def __init__(self, name: str) -> None:
        self.id = name
        self.watched: set[str] = set()
        self.principal = LOCAL_OPERATOR
        self.is_slow = False
        self.payloads: list[dict[str, Any]] = []

    def notify(self, frame: EventFrame, *, droppable: bool = False) -> bool:
        if self.is_slow and droppable:
            return False
        self.payloads.append(orjson.loads(frame.numbered(1))["payload"])
        return True

    def texts(self, stream: str) -> list[dict[str, Any]]:
        return [one["data"] for one in self.payloads if one.get("stream") == stream]

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.payloads) >= count, 10, f"{count} events")


class FakeRun:
    def __init__(self, run_id: str) -> None:
        self.id = run_id
        self.log = EventLog()
        self.log.append(RunStarted(run_id, "main", SESSION, 1.0))

    def wait(self) -> None:
        self.log.wait()

    def end(self) -> None:
        self.log.append(RunFinished("stop", Usage()))


class FakeRuns:
    """`RunService` as the feed knows it."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.active: dict[str, FakeRun] = {}

    def get(self, run_id: str) -> FakeRun | None:
        return self.active.get(run_id)

    def start(self, run_id: str = "r") -> FakeRun:
        run = self.active[run_id] = FakeRun(run_id)
        self.bus.publish(run_id, run.log)
        return run


@pytest.fixture
def connections() -> Connections:
    made = Connections()
    made._ticking = True  # no tick here
    return made


@pytest.fixture
def runs() -> FakeRuns:
    return FakeRuns()


def test_text_that_comes_fast_is_sent_together_and_the_end_at_once(
    connections: Connections, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "TEXT_SECONDS", 3600.0)
    watcher = FakeConnection("w")
    connections.add(watcher)  # type: ignore[arg-type]
    Feed(connections, runs)  # type: ignore[arg-type]
    run = runs.start()
    run.log.append(TextDelta("a"))
    wait_until(lambda: len(watcher.texts("assistant")) == 1, 10, "the first text")
    for piece in "bcdefgh":
        run.log.append(TextDelta(piece))
    run.end()
    wait_until(lambda: watcher.payloads[-1].get("state") == "final", 10, "the end")
    assert [one["delta"] for one in watcher.texts("assistant")] == ["a", "bcdefgh"]
    assert watcher.payloads[-1]["message"]["content"][0]["text"] == "abcdefgh"


def test_text_is_sent_though_nothing_follows(connections: Connections, runs: FakeRuns) -> None:
    watcher = FakeConnection("w")
    connections.add(watcher)  # type: ignore[arg-type]
    Feed(connections, runs)  # type: ignore[arg-type]
    run = runs.start()
    for piece in "abc":
        run.log.append(TextDelta(piece))
    wait_until(
        lambda: "".join(one["delta"] for one in watcher.texts("assistant")) == "abc", 10, "all of the text"
    )
    run.end()


def test_a_connection_that_missed_some_of_a_long_text_gets_it_whole(
    connections: Connections, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "MAX_WHOLE_TEXT", 1)
    monkeypatch.setattr(feed, "TEXT_SECONDS", 0.0)
    steady, slow, late = (FakeConnection(name) for name in ("steady", "slow", "late"))
    for one in (steady, slow):
        connections.add(one)  # type: ignore[arg-type]
    Feed(connections, runs)  # type: ignore[arg-type]
    run = runs.start()

    def say(text: str) -> None:
        run.log.append(TextDelta(text))
        wait_until(lambda: steady.texts("assistant")[-1:] == [{"delta": text}], 10, text)
        wait_until(lambda: steady.payloads[-1].get("deltaText") == text, 10, f"chat of {text}")

    run.log.append(TextDelta("ab"))
    steady.wait_for(3)
    assert steady.texts("assistant") == [{"text": "ab", "delta": "ab"}]  # it has got nothing before
    say("cd")
    slow.is_slow = True
    say("ef")
    slow.is_slow = False
    connections.add(late)  # type: ignore[arg-type]
    say("gh")
    say("ij")
    run.end()
    wait_until(lambda: late.payloads[-1].get("state") == "final", 10, "the end")
    whole = {"text": "abcdefgh", "delta": "gh"}
    assert slow.texts("assistant")[1:] == [{"delta": "cd"}, whole, {"delta": "ij"}]
    assert late.texts("assistant") == [whole, {"delta": "ij"}]
    assert steady.texts("assistant")[1:] == [{"delta": piece} for piece in ("cd", "ef", "gh", "ij")]
    chats = [one for one in late.payloads if one.get("state") == "delta"]
    assert [("message" in one) for one in chats] == [True, False, True]


def test_nothing_waits_for_a_run_after_it_is_taken_back(connections: Connections, runs: FakeRuns) -> None:
    sender = Feed(connections, runs)  # type: ignore[arg-type]
    run = runs.start()
    called: list[str] = []
    kept = threading.Event()
    take_back = sender.when_sent(run.id, lambda: called.append("taken back"))
    sender.when_sent(run.id, kept.set)
    take_back()
    assert [len(waiting) for waiting in sender._waiting.values()] == [1]
    run.end()
    assert kept.wait(10)
    wait_until(lambda: not sender._waiting, 10, "an empty feed")
    assert called == []
    take_back()


def test_a_run_that_is_not_active_is_not_waited_for(connections: Connections, runs: FakeRuns) -> None:
    called: list[str] = []
    Feed(connections, runs).when_sent("unknown", lambda: called.append("now"))  # type: ignore[arg-type]
    assert called == ["now"]


def test_waiting_for_the_events_of_runs_ends_in_time(connections: Connections, runs: FakeRuns) -> None:
    sender = Feed(connections, runs)  # type: ignore[arg-type]
    run = runs.start()
    sender.wait_sent([run.id], 0.01)
    assert list(sender._waiting.values()) == [[]]
    run.end()
    sender.wait_sent([run.id], 10)
