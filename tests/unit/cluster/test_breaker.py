"""After a failure nobody waits for Redis again and again."""

from __future__ import annotations

import logging

import pytest

from app.cluster.breaker import MAX_PAUSE, TRIAL_SECONDS, Breaker
from app.errors import ClusterUnavailable


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_a_failure_nobody_asks_for_a_moment_then_one_alone() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.check()
    breaker.failed("connection refused")
    with pytest.raises(ClusterUnavailable) as caught:
        breaker.check()
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1
    clock.now += 0.25
    breaker.check()  # the trial
    with pytest.raises(ClusterUnavailable):
        breaker.check()
    breaker.worked()
    breaker.check()
    breaker.check()


def test_a_trial_that_never_ends_makes_room_for_another() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.failed("connection refused")
    clock.now += 1
    breaker.check()
    clock.now += TRIAL_SECONDS
    breaker.check()


def test_pauses_grow_to_a_bound() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(50):
        breaker.failed("connection refused")
    clock.now += MAX_PAUSE
    breaker.check()


def test_lost_and_back_are_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "app.cluster")
    breaker = Breaker(Clock())
    for _ in range(5):
        breaker.failed("connection refused")
    for _ in range(5):
        breaker.worked()
    assert [record.message.partition(" error")[0] for record in caplog.records] == [
        "Redis is away",
        "Redis is back",
    ]
