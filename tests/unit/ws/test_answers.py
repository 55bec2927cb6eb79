"""Responses that are sent later: once, and never after their connection."""

from __future__ import annotations

import gc
import threading
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import InvalidRequest, Overloaded
from app.runs.ledger import RunLedger
from app.ws import answers
from app.ws.answers import Answers
from app.ws.call import LATER, Call
from app.ws.connections import Connections
from app.ws.feed import Feed
from app.ws.methods import agent
from app.ws.methods.agent import AgentMethods
from app.ws.params import Params
from tests.unit.ws.test_feed import FakeRuns


class FakePeer:
    principal = SimpleNamespace(owner=None)

    def __init__(self) -> None:
        self.answers = Answers()
        self.sent: list[Any] = []
        self.has_sent = threading.Event()

    def respond(self, frame_id: str, payload: Any) -> None:
        self.sent.append((frame_id, payload))
        self.has_sent.set()

    def respond_error(self, frame_id: str, error: Any, _payload: Any = None) -> None:
        self.sent.append((frame_id, error.message))


class KnownRuns(FakeRuns):
    """`RunService` as `agent.wait` knows it."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = RunLedger(10, 10.0)

    def get(self, run_id: str, _owner: str | None = None) -> Any:
        return self.active.get(run_id)


def wait_for_run(runs: KnownRuns, feed: Feed, peer: FakePeer, **params: Any) -> Any:
    call = Call(
        params=Params("agent.wait", {"runId": "r", **params}),
        gateway=SimpleNamespace(  # type: ignore[arg-type]
            runs=runs,
            all_runs=SimpleNamespace(find=lambda *_: None),
            repeats=SimpleNamespace(ended=lambda *_: None),
        ),
        peer=peer,  # type: ignore[arg-type]
        peers=list,
        audience=lambda _: [],
        reply=lambda _: None,
        later=lambda: peer.answers.add("1", peer),
    )
    return AgentMethods(feed).wait(call)


@pytest.fixture
def runs() -> KnownRuns:
    return KnownRuns()


@pytest.fixture
def feed(runs: KnownRuns) -> Feed:
    return Feed(Connections(), runs)  # type: ignore[arg-type]


def test_only_the_first_response_is_sent() -> None:
    peer = FakePeer()
    answer = peer.answers.add("1", peer)
    answer.succeed("yes")
    answer.succeed("again")
    answer.fail(InvalidRequest("no"))
    assert peer.sent == [("1", "yes")]


def test_what_belongs_to_a_response_is_cleaned_up_once() -> None:
    peer, cleaned = FakePeer(), []
    sent, ended = peer.answers.add("1", peer), peer.answers.add("2", peer)
    for answer in (sent, ended):
        answer.at_end(lambda: cleaned.append("x"))
    sent.fail(InvalidRequest("no"))
    peer.answers.end()
    ended.succeed("too late")
    assert (peer.sent, cleaned) == ([("1", "no")], ["x", "x"])
    ended.at_end(lambda: cleaned.append("now"))
    assert cleaned[-1] == "now"


def test_a_connection_waits_for_so_many_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_WAITING", 2)
    peer = FakePeer()
    first = peer.answers.add("1", peer)
    peer.answers.add("2", peer)
    with pytest.raises(Overloaded):
        peer.answers.add("3", peer)
    first.succeed("yes")
    peer.answers.add("3", peer)


def test_nothing_of_a_closed_connection_stays_referenced(runs: KnownRuns, feed: Feed) -> None:
    runs.start()
    threads = threading.active_count()
    peer = FakePeer()
    for _ in range(20):
        assert wait_for_run(runs, feed, peer, timeoutMs=500_000) is LATER
    gone = weakref.ref(peer)
    peer.answers.end()
    del peer
    gc.collect()
    assert gone() is None
    assert [len(waiting) for waiting in feed._waiting.values()] == [0]
    for thread in threading.enumerate():  # cancelled timers end now, not in minutes
        if isinstance(thread, threading.Timer):
            thread.join(10)
    assert threading.active_count() <= threads + 1  # the one that waits for the run's end
    runs.active["r"].end()


def test_an_unknown_run_is_not_waited_for(runs: KnownRuns, feed: Feed) -> None:
    peer = FakePeer()
    assert wait_for_run(runs, feed, peer, timeoutMs=500_000) == {"runId": "r", "status": "timeout"}
    assert not feed._waiting


def test_waiting_has_an_end(runs: KnownRuns, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "MAX_WAIT_MS", 1)
    runs.start()
    peer = FakePeer()
    assert wait_for_run(runs, feed, peer, timeoutMs=500_000) is LATER
    assert peer.has_sent.wait(10)
    assert peer.sent == [("1", {"runId": "r", "status": "timeout"})]
    assert list(feed._waiting.values()) == [[]]
    runs.active["r"].end()
