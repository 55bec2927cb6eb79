"""Whichever worker a guesser asks, the wrong credentials are counted together."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.auth import shared_limits
from app.auth.limits import AttemptLimiter
from app.auth.shared_limits import SharedAttempts
from app.cluster.base import NoOthers
from app.config.settings import AuthRateLimit
from app.errors import AuthRateLimited
from tests.support.pubsub import Exchange

LIMIT = AuthRateLimit(max_attempts=4, window_seconds=60, lockout_seconds=60)
GUESSER, USER = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Exchange:
    monkeypatch.setattr(shared_limits, "spawn", lambda fn, *args: fn(*args))
    return Exchange()


@pytest.fixture
def workers(exchange: Exchange) -> Sequence[SharedAttempts]:
    return [SharedAttempts(AttemptLimiter(), exchange.join()) for _ in range(2)]


def test_wrong_credentials_are_counted_together(workers: Sequence[SharedAttempts]) -> None:
    for number in range(4):
        workers[number % 2].failed(GUESSER, LIMIT)
    for worker in workers:
        worker.failed(USER, LIMIT)
        with pytest.raises(AuthRateLimited):
            worker.failed(GUESSER, LIMIT)


def test_a_right_one_makes_all_workers_forget(workers: Sequence[SharedAttempts]) -> None:
    for number in range(4):
        workers[number % 2].failed(USER, LIMIT)
    workers[1].succeeded(USER, LIMIT)
    for number in range(4):
        workers[number % 2].failed(USER, LIMIT)


def test_right_ones_alone_are_told_to_nobody(exchange: Exchange, workers: Sequence[SharedAttempts]) -> None:
    exchange.is_away = True
    workers[0].succeeded(USER, LIMIT)
    assert not workers[0]._failed


def test_each_counts_its_own_while_redis_is_away(
    exchange: Exchange, workers: Sequence[SharedAttempts]
) -> None:
    exchange.is_away = True
    for worker in workers:
        for _ in range(4):
            worker.failed(GUESSER, LIMIT)
        with pytest.raises(AuthRateLimited):
            worker.failed(GUESSER, LIMIT)
        worker.succeeded(GUESSER, LIMIT)


def test_what_is_remembered_is_bounded(
    workers: Sequence[SharedAttempts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "MAX_ADDRESSES", 10)
    for number in range(50):
        workers[0].failed(f"192.0.2.{number}", LIMIT)
    assert len(workers[0]._failed) == len(workers[1]._failed) == 10


def test_a_single_worker_counts_alone() -> None:
    alone = SharedAttempts(AttemptLimiter(), NoOthers())
    for _ in range(4):
        alone.failed(GUESSER, LIMIT)
    alone.succeeded(GUESSER, LIMIT)
    for _ in range(4):
        alone.failed(GUESSER, LIMIT)
    with pytest.raises(AuthRateLimited):
        alone.failed(GUESSER, LIMIT)
