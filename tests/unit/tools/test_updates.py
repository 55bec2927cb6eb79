"""What a working tool tells: as much as somebody can read, however much there is."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from app.agents.tool_calls import AgentTools
from app.events.types import Event, ToolCalled, ToolReturned, ToolUpdated
from app.messages import Message, ToolCall, ToolSpec
from app.tools import updates
from app.tools.base import Invocation, Tool, ToolOutput
from app.tools.updates import Updates
from tests.support.provider import wait_until
from tests.unit.agents.own_tools import run_context

CALL = ToolCall("c1", "tell", "{}")


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, ToolUpdated)]


def test_the_first_is_told_at_once_and_the_newest_a_little_later():
    events: list[Event] = []
    update = Updates(CALL, events.append)
    for number in range(10_000):
        update(f"step {number}")
    wait_until(lambda: texts(events)[-1] == "step 9999", 10, "the newest")
    assert texts(events)[0] == "step 0"
    assert len(events) < 20


def test_nothing_is_told_after_the_result(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(updates, "SECONDS", 60.0)
    later: list[Callable[[], object]] = []
    monkeypatch.setattr(updates, "call_later", lambda _, fn: later.append(fn))
    events: list[Event] = []
    update = Updates(CALL, events.append)
    update("a")
    update("b")
    update.end()
    update("c")
    (tell_the_newest,) = later
    tell_the_newest()
    assert texts(events) == ["a"]


def test_what_is_told_is_bounded_and_becomes_seldom(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(updates.time, "monotonic", lambda: now)
    monkeypatch.setattr(updates, "call_later", lambda *_: None)
    events: list[Event] = []
    update = Updates(CALL, events.append)
    for _ in range(36_000):  # an hour
        now += 0.1
        update("x" * 100_000)
        update._waits = False
    assert len(events) < 1100
    assert set(map(len, texts(events))) == {updates.MAX_TEXT, updates.SHORT_TEXT}
    assert sum(map(len, texts(events))) < 1.2 * updates.MAX_TEXTS


def test_a_fast_call_of_a_group_has_its_result_before_a_slow_one_and_its_own_time():
    events: list[Event] = []

    def run(invocation: Invocation, arguments: dict[str, float]) -> ToolOutput:
        time.sleep(arguments["seconds"])
        return ToolOutput("done")

    tool = Tool(spec=ToolSpec("t", "t", {}), summary="t", run=run, is_parallel=True)
    kept: list[Message] = []
    slow, fast = ToolCall("slow", "t", '{"seconds": 0.5}'), ToolCall("fast", "t", '{"seconds": 0}')
    AgentTools(run_context(events=events), {"t": tool}.get).run([slow, fast], lambda _, one: kept.append(one))
    assert [one.tool_call_id for one in kept] == ["slow", "fast"]
    assert [type(one) for one in events] == [ToolCalled, ToolCalled, ToolReturned, ToolReturned]
    ends = [one for one in events if isinstance(one, ToolReturned)]
    assert [one.call_id for one in ends] == ["fast", "slow"]
    assert ends[0].seconds < 0.4 < ends[1].seconds
