"""The log of several workers as one: in order of time, nothing missed, nothing twice."""

from __future__ import annotations

import json
import logging
import time

import pytest

from app.cluster.ask import Workers
from app.control.logs import Logs
from app.logs.ring import LogRing, Tail
from tests.support.pubsub import Exchange


class Host:
    """A worker whose log lines get the times that a test gives them."""

    def __init__(self, exchange: Exchange, most: int = 100) -> None:
        self.ring = LogRing(most)
        self.logs = Logs(self.ring, Workers(exchange.join()))

    def line(self, text: str, moment: float) -> None:
        record = logging.LogRecord("app", logging.INFO, "", 0, text, (), None)
        record.created = moment
        self.ring.emit(record)


def texts(tail: Tail) -> list[str]:
    return [json.loads(line)["message"] for line in tail.lines]


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def test_lines_of_all_workers_in_order_of_time(exchange: Exchange):
    here, there = Host(exchange), Host(exchange)
    now = time.time()
    for number in range(6):
        (here if number % 2 else there).line(f"line {number}", now - 10 + number)
    for asked in (here, there):
        first = asked.logs.tail(None, 100, 100_000)
        assert texts(first) == [f"line {number}" for number in range(6)]
        assert (first.truncated, first.reset) == (False, False)
    assert texts(here.logs.tail(None, 2, 100_000)) == ["line 4", "line 5"]
    there.line("news", time.time())
    assert texts(here.logs.tail(first.cursor, 100, 100_000)) == ["news"]


def test_a_line_that_is_later_than_one_workers_clock_waits_for_the_next_call(exchange: Exchange):
    here, there = Host(exchange), Host(exchange)
    here.line("of now", time.time() - 1)
    there.line("ahead", time.time() + 1)
    first = here.logs.tail(None, 100, 100_000)
    assert texts(first) == ["of now"]
    time.sleep(max(0.0, 1.1 - (time.time() - first.cursor / 1_000_000)))
    second = there.logs.tail(first.cursor, 100, 100_000)
    assert texts(second) == ["ahead"]
    assert texts(here.logs.tail(second.cursor, 100, 100_000)) == []


def test_limits_and_cursors_that_are_not_known(exchange: Exchange):
    here, there = Host(exchange, 3), Host(exchange)
    now = time.time()
    for number in range(5):
        here.line(f"here {number}", now - 10 + number)
        there.line(f"there {number}", now - 10 + number)
    room = here.logs.tail(None, 100, 500)
    assert room.truncated
    assert texts(room)[-1] == "there 4"
    assert here.logs.tail(int((now - 9.5) * 1_000_000), 100, 100_000).reset  # some of it is gone here
    assert not here.logs.tail(int((now - 7.5) * 1_000_000), 100, 100_000).reset
    assert here.logs.tail(int((now + 60) * 1_000_000), 100, 100_000).reset


def test_others_that_cannot_be_reached(exchange: Exchange):
    here, there = Host(exchange), Host(exchange)
    here.line("here", time.time() - 1)
    there.line("there", time.time() - 1)
    exchange.is_away = True
    assert texts(here.logs.tail(None, 100, 100_000)) == ["here"]
