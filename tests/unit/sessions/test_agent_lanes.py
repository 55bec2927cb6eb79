"""An agent's limit over several workers: slots are taken, waited for, and given back."""

from __future__ import annotations

import threading

import pytest

from app.cancel import Cancel
from app.errors import ClusterUnavailable, RunAborted
from app.sessions.agent_lanes import SharedAgentLanes
from tests.support.provider import wait_until
from tests.support.pubsub import Exchange

PATIENCE = 30.0


class MemorySlots:
    """Implements `Slots`; `is_away` makes it fail."""

    def __init__(self) -> None:
        self.holders: dict[str, set[str]] = {}
        self.is_away = False

    def take(self, name: str, limit: int, holder: str) -> bool:
        self._check()
        held = self.holders.setdefault(name, set())
        if len(held) >= limit:
            return False
        held.add(holder)
        return True

    def give_back(self, name: str, holder: str) -> None:
        self._check()
        self.holders[name].discard(holder)

    def _check(self) -> None:
        if self.is_away:
            raise ClusterUnavailable("Redis is away.")


class Office:
    def __init__(self) -> None:
        self.slots, exchange = MemorySlots(), Exchange()
        self.here, self.there = (SharedAgentLanes(self.slots, exchange.join()) for _ in range(2))


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_slot_of_another_worker_is_waited_for(office: Office) -> None:
    first, second = office.here.join("main", 1), office.there.join("main", 1)
    first.wait(Cancel())
    begun = threading.Event()
    thread = threading.Thread(target=lambda: (second.wait(Cancel()), begun.set()))
    thread.start()
    assert not begun.wait(0.05)
    other = office.there.join("beta", 1)
    other.wait(Cancel())  # another agent's limit is its own
    first.leave()
    first.leave()
    assert begun.wait(PATIENCE)
    second.leave()
    other.leave()
    thread.join(PATIENCE)
    assert office.slots.holders == {"main": set(), "beta": set()}


def test_who_waits_may_be_cancelled(office: Office) -> None:
    first, second = office.here.join("main", 1), office.there.join("main", 1)
    first.wait(Cancel())
    cancel, raised = Cancel(), []

    def wait() -> None:
        try:
            second.wait(cancel)
        except RunAborted as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    cancel.cancel(RunAborted("Stop."))
    wait_until(lambda: len(raised) == 1, PATIENCE, "the end of the wait")
    first.leave()
    third = office.there.join("main", 1)
    third.wait(Cancel())
    third.leave()
    thread.join(PATIENCE)


def test_while_redis_is_away_the_limit_holds_for_each_worker(office: Office) -> None:
    office.slots.is_away = True
    first, second = office.here.join("main", 1), office.there.join("main", 1)
    first.wait(Cancel())
    second.wait(Cancel())
    waiting, begun = office.here.join("main", 1), threading.Event()
    thread = threading.Thread(target=lambda: (waiting.wait(Cancel()), begun.set()))
    thread.start()
    assert not begun.wait(0.05)
    first.leave()
    assert begun.wait(PATIENCE)
    for place in (second, waiting):
        place.leave()
    thread.join(PATIENCE)
