"""Asking and answering: the first answer counts, time passes, runs end, stores fail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from app.cancel import Cancel
from app.errors import (
    ApprovalOver,
    ApprovalResolved,
    NotFound,
    Overloaded,
    RunAborted,
    StorageUnavailable,
    UnsupportedValue,
)
from app.tools.approvals import service as module
from app.tools.approvals.record import CANCELLED, Approval, ApprovalRequest, Outcome, Resolver
from app.tools.approvals.service import ApprovalService
from tests.support.approval_stores import MemoryApprovals

ANN, BOB = Resolver("device", "ann"), Resolver("channel", "bob")
REQUEST = ApprovalRequest(kind="exec", agent_id="main", command="ls", allowed=("allow-once", "deny"))
PATIENCE = 20.0


class Desk:
    def __init__(self) -> None:
        self.store = MemoryApprovals()
        self.service = ApprovalService(self.store)
        self.told: list[tuple[str, str]] = []
        self.service.listeners.append(lambda one: self.told.append((one.id, one.state)))

    def begin(self, seconds: float = PATIENCE, approval_id: str = "a") -> Approval:
        return self.service.begin(REQUEST, seconds, approval_id)

    def waiting(self, cancel: Cancel | None = None, approval_id: str = "a") -> Callable[[], Any]:
        """Waits in a thread; the function returns what it got."""
        results: list[Any] = []

        def wait() -> None:
            try:
                results.append(self.service.wait(approval_id, cancel or Cancel()))
            except Exception as error:
                results.append(error)

        thread = threading.Thread(target=wait)
        thread.start()

        def result() -> Any:
            thread.join(PATIENCE)
            return results[0]

        return result


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_who_waits_gets_the_answer(desk: Desk):
    desk.begin()
    result = desk.waiting()
    over, applied = desk.service.resolve("a", "allow-once", ANN)
    assert (over.state, over.resolver, applied) == ("allowed", ANN, True)
    assert result() == over
    assert desk.told == [("a", "pending"), ("a", "allowed")]
    assert desk.service.waiting == 0
    assert desk.service.wait("a", Cancel()) == over


def test_the_first_answer_counts(desk: Desk):
    desk.begin()
    desk.service.resolve("a", "deny", ANN)
    again, applied = desk.service.resolve("a", "deny", BOB)
    assert (again.resolver, applied) == (ANN, False)
    with pytest.raises(ApprovalResolved):
        desk.service.resolve("a", "allow-once", BOB)
    with pytest.raises(NotFound):
        desk.service.resolve("b", "deny", ANN)
    assert desk.told == [("a", "pending"), ("a", "denied")]


def test_what_is_not_offered_cannot_be_chosen(desk: Desk):
    desk.begin()
    with pytest.raises(UnsupportedValue):
        desk.service.resolve("a", "allow-always", ANN)
    assert desk.service.get("a").is_pending


def test_of_many_at_once_one_is_first(desk: Desk):
    desk.begin()
    applied: list[str] = []
    barrier = threading.Barrier(8)

    def answer(decision: Any) -> None:
        barrier.wait()
        try:
            if desk.service.resolve("a", decision, ANN)[1]:
                applied.append(decision)
        except ApprovalResolved:
            pass

    threads = [threading.Thread(target=answer, args=(one,)) for one in ("allow-once", "deny") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert applied == [desk.service.get("a").decision]
    assert len(desk.told) == 2


def test_nobody_answers(desk: Desk):
    desk.begin(0.05)
    over = desk.waiting()()
    assert (over.state, over.reason, over.decision) == ("expired", "timeout", None)
    with pytest.raises(ApprovalOver):
        desk.service.resolve("a", "allow-once", ANN)


def test_an_answer_too_late_finds_it_expired_even_if_nobody_waits(desk: Desk):
    desk.begin(0.001)
    threading.Event().wait(0.05)
    with pytest.raises(ApprovalOver):
        desk.service.resolve("a", "allow-once", ANN)
    desk.begin(0.001, "b")
    threading.Event().wait(0.05)
    desk.service.sweep()
    assert desk.told[-1] == ("b", "expired")


def test_a_run_that_ends_cancels_it(desk: Desk):
    desk.begin()
    cancel, why = Cancel(), RunAborted("gone")
    result = desk.waiting(cancel)
    cancel.cancel(why)
    assert result() is why
    assert desk.service.get("a").state == "cancelled"
    with pytest.raises(ApprovalOver):
        desk.service.resolve("a", "allow-once", ANN)
    assert desk.told[-1] == ("a", "cancelled")


def test_what_another_process_has_decided_is_noticed(desk: Desk):
    desk.begin()
    result = desk.waiting()
    desk.store.resolve("a", Outcome("allowed", "user", "allow-once", BOB))
    assert desk.service.waiting == 1
    desk.service.sweep()
    assert result().resolver == BOB
    assert desk.service.waiting == 0


def test_callbacks(desk: Desk):
    desk.begin()
    heard: list[str] = []
    desk.service.when_over("a", lambda one: heard.append(one.state))
    take_back = desk.service.when_over("a", lambda _: heard.append("taken back"))
    take_back()
    desk.service.resolve("a", "deny", ANN)
    desk.service.when_over("a", lambda one: heard.append(f"late {one.state}"))
    assert heard == ["denied", "late denied"]
    with pytest.raises(NotFound):
        desk.service.when_over("b", heard.append)


def test_a_store_that_fails_lets_nothing_through(desk: Desk):
    desk.store.is_down = True
    with pytest.raises(StorageUnavailable):
        desk.begin()
    assert desk.service.waiting == 0
    desk.store.is_down = False
    desk.begin(0.05)
    desk.store.is_down = True
    assert isinstance(desk.waiting()(), StorageUnavailable)
    desk.store.is_down = False
    desk.service.sweep()
    assert desk.service.get("a").state == "expired"


def test_a_failing_store_does_not_hide_why_a_run_ends(desk: Desk):
    desk.begin()
    cancel, why = Cancel(), RunAborted("gone")
    cancel.cancel(why)
    desk.store.is_down = True
    assert desk.waiting(cancel)() is why
    desk.store.is_down = False
    desk.service.sweep()
    assert desk.service.get("a").state == CANCELLED.state


def test_how_many_may_wait_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_PENDING", 2)
    desk.begin(approval_id="a")
    desk.begin(approval_id="b")
    with pytest.raises(Overloaded):
        desk.begin(approval_id="c")


def test_who_may_be_asked(desk: Desk):
    assert not desk.service.can_be_asked("agent:main:main")
    desk.service.approvers.append(lambda key: key == "agent:main:main")
    assert desk.service.can_be_asked("agent:main:main")
    assert not desk.service.can_be_asked("agent:main:other")


def test_an_answer_to_one_whose_end_could_not_be_stored_revives_nothing(desk: Desk):
    desk.begin()
    cancel = Cancel()
    cancel.cancel(RunAborted("gone"))
    desk.store.is_down = True
    desk.waiting(cancel)()
    desk.store.is_down = False
    with pytest.raises(ApprovalOver):
        desk.service.resolve("a", "allow-once", ANN)
