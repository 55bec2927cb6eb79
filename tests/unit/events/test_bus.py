"""Runs are found by their id while they are published, and announced to those who follow all of them."""

from __future__ import annotations

import pytest

from app.errors import NotFound
from app.events.bus import MemoryBus
from app.events.ended import EndedLogs
from app.events.log import EventLog
from app.events.types import RunFinished, RunStarted, TextDelta
from app.messages import Usage

STARTED = RunStarted("r", "main", "agent:main:x", 1.0)


def test_a_published_run_is_found_until_it_is_closed():
    bus, log = MemoryBus(), EventLog()
    assert bus.log("r") is None
    bus.publish("r", log)
    assert bus.log("r") is log
    bus.close("r")
    bus.close("r")
    assert bus.log("r") is None


def test_listeners_are_called_with_each_run_that_is_published():
    bus, first, second = MemoryBus(), EventLog(), EventLog()
    seen: list[tuple[str, EventLog]] = []
    bus.publish("before", first)
    bus.subscribe(lambda run_id, log: seen.append((run_id, log)))
    bus.publish("r", second)
    assert seen == [("r", second)]


def ended_log(*texts: str) -> EventLog:
    log = EventLog()
    for event in (STARTED, *map(TextDelta, texts), RunFinished("stop", Usage())):
        log.append(event)
    return log


def test_the_events_of_an_ended_run_can_be_read_for_a_while():
    bus, log = MemoryBus(max_bytes=10_000, seconds=3600), ended_log("a", "é")
    bus.publish("r", log)
    assert bus.history("r") is None
    bus.close("r")
    assert bus.history("r") == list(log)
    assert bus.history("other") is None


def test_events_that_are_too_many_push_out_nothing():
    kept = EndedLogs(100_000, 60, lambda: 0.0)
    kept.add("many", many := ended_log(*map(str, range(3000))))
    for name, too_many in (("large", ["x" * 200_000]), ("long", ["x" * 100] * 3000)):
        kept.add(name, ended_log(*too_many))
        assert kept.get(name) is None
    assert kept.get("many") == list(many)


def test_ended_events_are_bounded_by_bytes_and_by_time():
    now = 0.0
    kept = EndedLogs(2500, 60, lambda: now)
    for name in "abc":
        kept.add(name, ended_log("x" * 800))
    assert [name for name in "abc" if kept.get(name)] == ["b", "c"]
    kept.add("b", ended_log("y"))  # again, in place of the first
    assert kept.get("b") == list(ended_log("y"))
    now = 61.0
    assert kept.get("b") is None
    kept.add("d", ended_log("x" * 5000))  # larger than all there is room for
    assert [name for name in "abcd" if kept.get(name)] == []


def test_a_log_may_begin_after_its_first_events():
    log = EventLog(list(ended_log("a", "b"))[2:], first=2)
    assert log.length == 4
    assert list(log.batch(3)) == [RunFinished("stop", Usage())]
    with pytest.raises(NotFound):
        log.batch(1)


def test_a_log_is_one_before_its_first_event():
    assert bool(EventLog())
