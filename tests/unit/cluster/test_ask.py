from __future__ import annotations

import threading
import time

import pytest

from app.cluster.ask import Workers
from app.cluster.base import NoOthers
from app.errors import ClusterUnavailable
from tests.support.pubsub import Exchange


def test_all_others_reply() -> None:
    exchange = Exchange()
    asker, *others = (Workers(exchange.join()) for _ in range(3))
    for number, other in enumerate(others):
        other.answer("sum", lambda asked, number=number: {"sum": asked["of"] + number})
    replies = asker.ask("sum", {"of": 10}, 30)
    assert sorted(one["sum"] for one in replies) == [10, 11]


def test_one_that_is_enough_is_not_waited_behind() -> None:
    exchange = Exchange()
    asker, quick, slow = (Workers(exchange.join()) for _ in range(3))
    released = threading.Event()
    quick.answer("is there", lambda _: {"yes": True})
    slow.answer("is there", lambda _: {"yes": released.wait(30)})
    before = time.monotonic()
    assert asker.ask("is there", {}, 30, lambda reply: bool(reply["yes"])) == [{"yes": True}]
    assert time.monotonic() - before < 20
    released.set()


def test_one_that_does_not_reply_is_waited_for_no_longer_than_said() -> None:
    exchange = Exchange()
    asker, other, _mute = (Workers(exchange.join()) for _ in range(3))
    other.answer("name", lambda _: {"name": "other"})
    assert asker.ask("name", {}, 0.5) == [{"name": "other"}]


def test_nobody_is_asked_where_there_is_nobody() -> None:
    assert Workers(NoOthers()).ask("name", {}) == ()
    assert Workers(Exchange().join()).ask("name", {}, 30) == []


def test_workers_that_cannot_be_reached() -> None:
    exchange = Exchange()
    asker = Workers(exchange.join())
    exchange.is_away = True
    with pytest.raises(ClusterUnavailable):
        asker.ask("name", {})
