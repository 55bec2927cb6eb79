"""Ended runs are remembered, but neither too many of them, nor for too long, nor too much text."""

from __future__ import annotations

import pytest

from app.agents.answer import Answer
from app.events.types import RunFinished
from app.messages import Usage
from app.runs.ledger import RunLedger
from app.runs.run import Run
from tests.unit.runs.conftest import plan, request

END = RunFinished("stop", Usage())


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_run(run_id: str, text: str = "hi") -> Run:
    run = Run(request(run_id=run_id), plan(), Answer(1_000_000))
    run.answer.begin_turn().add_text(text)
    run.model = "fake/m"
    return run


def test_what_is_remembered(clock: Clock):
    ledger = RunLedger(10, 60.0, clock=clock)
    run = a_run("one", "hello")
    ledger.add(run, END)
    found = ledger.get("one")
    assert found is not None
    assert (found.id, found.agent_id, found.session_key) == ("one", "main", run.session_key)
    assert (found.end, found.text, found.model) == (END, "hello", "fake/m")
    assert (found.started_at, found.ended_at) == (run.started_at, 1000.0)
    assert ledger.get("two") is None


def test_only_the_newest_are_remembered(clock: Clock):
    ledger = RunLedger(3, 60.0, clock=clock)
    for number in range(10):
        ledger.add(a_run(str(number)), END)
    assert len(ledger) == 3
    assert [ledger.get(str(number)) is not None for number in (6, 7, 8, 9)] == [False, True, True, True]


def test_the_old_are_forgotten(clock: Clock):
    ledger = RunLedger(10, 60.0, clock=clock)
    ledger.add(a_run("one"), END)
    clock.now += 60
    assert ledger.get("one") is not None
    clock.now += 1
    assert ledger.get("one") is None
    ledger.add(a_run("two"), END)
    assert len(ledger) == 1


def test_their_texts_are_bounded(clock: Clock):
    ledger = RunLedger(10, 60.0, max_characters=10, clock=clock)
    ledger.add(a_run("one", "12345"), END)
    ledger.add(a_run("two", "12345"), END)
    assert len(ledger) == 2
    ledger.add(a_run("two", "123456"), END)  # in place of the one of that id
    assert ledger.get("one") is None
    assert ledger.get("two") is not None


def test_a_run_of_a_known_id_takes_its_place(clock: Clock):
    ledger = RunLedger(10, 60.0, clock=clock)
    ledger.add(a_run("one", "first"), END)
    ledger.add(a_run("one", "second"), END)
    found = ledger.get("one")
    assert found is not None
    assert (len(ledger), found.text) == (1, "second")
