"""Two workers on one store: what one asks, the other's clients see, and may answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from app.cancel import Cancel
from app.cluster.ask import Workers
from app.errors import ApprovalResolved
from app.tools.approvals.record import Approval, ApprovalRequest, Resolver
from app.tools.approvals.service import ApprovalService
from tests.support.approval_stores import MemoryApprovals
from tests.support.provider import wait_until
from tests.support.pubsub import Exchange

ANN, BOB = Resolver("device", "ann"), Resolver("channel", "bob")
REQUEST = ApprovalRequest(kind="exec", agent_id="main", command="ls", allowed=("allow-once", "deny"))
PATIENCE = 30.0


class Office:
    """The worker that asks, another one, and what the clients of each were told."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        store = MemoryApprovals()
        self.here, self.there = (ApprovalService(store, Workers(self.exchange.join())) for _ in range(2))
        self.told_here, self.told_there = self._listen(self.here), self._listen(self.there)

    def _listen(self, service: ApprovalService) -> list[str]:
        told: list[str] = []
        service.listeners.append(lambda one: told.append(one.state))
        return told

    def waiting(self) -> Callable[[], Approval]:
        results: list[Approval] = []
        thread = threading.Thread(target=lambda: results.append(self.here.wait("a", Cancel())))
        thread.start()

        def result() -> Approval:
            thread.join(PATIENCE)
            return results[0]

        return result


@pytest.fixture
def office() -> Office:
    return Office()


def test_the_other_workers_clients_are_told_and_answer(office: Office):
    office.here.begin(REQUEST, PATIENCE, "a")
    wait_until(lambda: office.told_there == ["pending"], PATIENCE, "the news")
    result = office.waiting()
    over, applied = office.there.resolve("a", "allow-once", ANN)
    assert (over.state, applied) == ("allowed", True)
    assert result() == over
    wait_until(lambda: office.told_here == ["pending", "allowed"], PATIENCE, "the news")
    assert office.told_there == ["pending", "allowed"]
    with pytest.raises(ApprovalResolved):
        office.here.resolve("a", "deny", BOB)
    office.here.sweep()
    assert (office.told_here, office.told_there) == (["pending", "allowed"],) * 2


def test_somebody_at_the_other_worker_waits_for_the_answer(office: Office):
    office.here.begin(REQUEST, PATIENCE, "a")
    over: list[Approval] = []
    office.there.when_over("a", over.append)
    assert over == []
    office.here.resolve("a", "deny", ANN)
    wait_until(lambda: len(over) == 1, PATIENCE, "the answer")
    assert over[0].state == "denied"
    office.there.when_over("a", over.append)
    assert len(over) == 2


def test_without_messages_each_worker_looks_once_a_second(office: Office):
    office.here.begin(REQUEST, PATIENCE, "a")
    over: list[Approval] = []
    office.there.when_over("a", over.append)
    office.exchange.is_away = True
    office.here.resolve("a", "deny", ANN)
    office.there.sweep()
    assert [one.state for one in over] == ["denied"]


def test_who_has_gone_is_not_kept(office: Office):
    office.here.begin(REQUEST, PATIENCE, "a")
    over: list[Approval] = []
    office.there.when_over("a", over.append)()
    assert office.there._elsewhere == {}
    office.here.resolve("a", "deny", ANN)
    office.there.sweep()
    assert over == []


def test_approvers_of_another_worker_count(office: Office):
    assert not office.here.can_be_asked("agent:main:k")
    office.there.approvers.append(lambda key: key == "agent:main:k")
    assert office.here.can_be_asked("agent:main:k")
    assert not office.here.can_be_asked("agent:main:other")
    office.exchange.is_away = True
    assert not office.here.can_be_asked("agent:main:k")
    assert office.there.can_be_asked("agent:main:k")
