"""Two workers: what an agent asks on one, the other's clients see, and may answer."""

from __future__ import annotations

import threading

import pytest

from app.cancel import Cancel
from app.cluster.ask import Workers
from app.errors import ClusterUnavailable, InvalidRequest, NotFound
from app.tools.questions.record import Asked, Option, Question
from app.tools.questions.service import QuestionService
from tests.support.provider import wait_until
from tests.support.pubsub import Exchange

PATIENCE = 30.0
COLOUR = Question(
    id="colour", header="Colour", question="Which one?", options=(Option("red"), Option("blue"))
)
PLACE = {"agent_id": "main", "session_key": "agent:main:k", "question_id": "q"}


class Office:
    def __init__(self) -> None:
        self.exchange = Exchange()
        self.here, self.there = (QuestionService(Workers(self.exchange.join())) for _ in range(2))
        self.told: list[str] = []
        self.there.listeners.append(lambda asked: self.told.append(asked.state))


@pytest.fixture
def office() -> Office:
    return Office()


def test_the_other_workers_clients_are_told_and_answer(office: Office):
    asked = office.here.begin([COLOUR], PATIENCE, **PLACE)
    wait_until(lambda: office.told == ["pending"], PATIENCE, "the news")
    results: list[Asked] = []
    thread = threading.Thread(target=lambda: results.append(office.here.wait("q", Cancel())))
    thread.start()
    assert office.there.get("q") == asked
    assert list(office.there.pending()) == [asked]
    over = office.there.answer("q", {"colour": ["red"]}, "ann")
    thread.join(PATIENCE)
    assert results == [over]
    assert (over.state, over.answers, over.resolved_by) == ("answered", {"colour": ["red"]}, "ann")
    wait_until(lambda: office.told == ["pending", "answered"], PATIENCE, "the news")
    with pytest.raises(InvalidRequest, match="over already"):
        office.there.cancel("q", "bob")
    assert office.there.get("q") == over


def test_somebody_at_the_other_worker_waits_for_the_answer(office: Office):
    office.here.begin([COLOUR], PATIENCE, **PLACE)
    over: list[Asked] = []
    office.there.when_over("q", over.append)
    gone: list[Asked] = []
    office.there.when_over("q", gone.append)()
    office.here.cancel("q", "ann")
    wait_until(lambda: len(over) == 1, PATIENCE, "the answer")
    assert (over[0].state, gone) == ("cancelled", [])


def test_unknown_ones_and_a_worker_that_cannot_be_reached(office: Office):
    office.here.begin([COLOUR], PATIENCE, **PLACE)
    with pytest.raises(NotFound):
        office.there.get("other")
    with pytest.raises(NotFound):
        office.there.answer("other", {}, "ann")
    office.exchange.is_away = True
    assert office.there.pending() == []
    for ask in (lambda: office.there.get("q"), lambda: office.there.answer("q", {}, "ann")):
        with pytest.raises(ClusterUnavailable):
            ask()
    assert office.here.answer("q", {"colour": ["blue"]}, "ann").state == "answered"


def test_those_who_may_answer_at_another_worker_count(office: Office):
    assert not office.here.can_be_asked("agent:main:k")
    office.there.answerers.append(lambda key: key == "agent:main:k")
    assert office.here.can_be_asked("agent:main:k")
    office.exchange.is_away = True
    assert not office.here.can_be_asked("agent:main:k")
