"""Runs are found by their id while they are published, and announced to those who follow all of them."""

from __future__ import annotations

from app.events.bus import MemoryBus
from app.events.log import EventLog


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
