"""Lanes with real threads: order, limits, and tickets that are given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from app.cancel import Cancel
from app.errors import RunAborted, SessionBusy
from app.sessions.lanes import Lanes


def in_thread(fn: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=fn)
    thread.start()
    return thread


def test_in_an_empty_lane_a_ticket_is_active_at_once():
    lanes = Lanes()
    with lanes.join("a") as ticket:
        ticket.wait(Cancel())
        assert lanes.active == 1
    assert lanes.active == 0


def test_tickets_become_active_in_the_order_of_joining():
    lanes, order = Lanes(cap=50), []

    def run(number: int) -> None:
        with tickets[number] as ticket:
            ticket.wait(Cancel())
            order.append(number)
            time.sleep(0.001)

    tickets = [lanes.join("a") for _ in range(30)]
    assert lanes.waiting("a") == 29
    threads = [in_thread(lambda number=number: run(number)) for number in reversed(range(30))]
    for thread in threads:
        thread.join()
    assert order == list(range(30))
    assert lanes.active == 0


def test_one_ticket_of_a_lane_is_active_and_lanes_are_independent():
    lanes, inside, most = Lanes(cap=50), set(), []

    def run(key: str) -> None:
        with lanes.join(key) as ticket:
            ticket.wait(Cancel())
            assert key not in inside
            inside.add(key)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(key)

    threads = [in_thread(lambda key=key: run(key)) for key in "ababab"]
    for thread in threads:
        thread.join()
    assert max(most) == 2


def test_a_full_lane_refuses():
    lanes = Lanes(cap=2)
    tickets = [lanes.join("a") for _ in range(3)]
    with pytest.raises(SessionBusy) as refusal:
        lanes.join("a")
    assert refusal.value.retry_after == 1
    lanes.join("b").leave()
    tickets[0].leave()
    lanes.join("a")
    assert lanes.waiting("a") == 2


def test_in_mode_reject_no_ticket_waits():
    lanes = Lanes(cap=20, mode="reject")
    with lanes.join("a"), pytest.raises(SessionBusy):
        lanes.join("a")
    lanes.join("a").leave()


def test_a_run_that_is_cancelled_in_the_queue_leaves_it():
    lanes, cancel, seen = Lanes(), Cancel(), []
    first, second, third = (lanes.join("a") for _ in range(3))

    def wait() -> None:
        try:
            second.wait(cancel)
        except RunAborted as error:
            seen.append(error)

    thread = in_thread(wait)
    reason = RunAborted("stopped")
    cancel.cancel(reason)
    thread.join(30)
    assert seen == [reason]
    assert lanes.waiting("a") == 1
    first.leave()
    third.wait(Cancel())
    third.leave()
    assert lanes.active == 0


def test_a_run_that_was_cancelled_before_it_waits_does_not_block_the_lane():
    lanes, cancel = Lanes(), Cancel()
    cancel.cancel(RunAborted("stopped"))
    with pytest.raises(RunAborted):
        lanes.join("a").wait(cancel)
    lanes.join("a").wait(Cancel())


def test_leaving_twice_or_before_being_active_changes_nothing_for_others():
    lanes = Lanes()
    first, second, third = (lanes.join("a") for _ in range(3))
    second.leave()
    second.leave()
    first.leave()
    first.leave()
    third.wait(Cancel())
    assert lanes.active == 1
    third.leave()
    assert lanes.active == 0


def test_a_thousand_lanes_leave_nothing_behind():
    lanes = Lanes()
    tickets = [lanes.join(f"session {number % 1000}") for number in range(3000)]
    assert lanes.active == 1000
    for ticket in tickets:
        ticket.wait(Cancel())
        ticket.leave()
    assert lanes.active == 0
    assert lanes.waiting("session 1") == 0
