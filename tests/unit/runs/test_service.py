"""The door to agents: what is refused, what happens in which order, and that every run ends once."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.cancel import Cancel
from app.config.agent_settings import SystemPromptSettings
from app.config.settings import GatewaySettings
from app.errors import (
    Draining,
    GatewayError,
    InternalError,
    InvalidRequest,
    Overloaded,
    RunAborted,
    SessionBusy,
    StorageUnavailable,
    UnknownAgent,
    UpstreamError,
    UpstreamTimeout,
    UpstreamTruncated,
)
from app.events.types import ModelFinished, RunFailed, RunFinished, RunStarted, TextDelta, ToolCallDelta
from app.messages import Message, ToolCall, ToolSpec
from app.runs import service
from app.runs.log_lines import describe_end
from app.runs.run import Run
from app.sessions.lanes import Lanes
from tests.unit.agents.fake_provider import USED, FakeProvider, says
from tests.unit.runs.conftest import Desk, events, kinds, request

FINISHED = ["RunStarted", "TextDelta", "TextDelta", "ModelFinished", "RunFinished"]
STOPPING = "The gateway is stopping. Try again."
STOP = RunAborted("stop")


class Gate:
    """A step of a script that waits until the test lets it go on, or the run is stopped."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self._open = threading.Event()

    def __call__(self, cancel: Cancel) -> None:
        self.reached.release()
        with cancel.waking(self._open.set):
            assert self._open.wait(30)

    def wait(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.reached.acquire(timeout=30), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


# What happens


@pytest.mark.parametrize("key", [None, "chat"])
def test_a_run_tells_its_story_in_order(desk: Desk, key: str | None):
    run = desk.start("hi", key)
    assert kinds(run) == FINISHED
    started, *_, end = events(run)
    how = {"model": run.plan.candidates[0].name, "verbose": "off", "reasoning": "off"}
    assert started == RunStarted(run.id, "main", run.session_key, run.started_at, **how)
    assert end == RunFinished("stop", USED)
    assert run.result().text == "Hello"
    assert run.ended


def test_the_model_is_shown_the_agents_words_then_the_requests(desk: Desk, tmp_path: Path):
    (tmp_path / "SOUL.md").write_text("Be kind.")
    desk.set_agent(
        system_prompt=SystemPromptSettings("You are main.", "replace"),
        workspace=tmp_path,
        params={"temperature": 1, "seed": 5},
    )
    tools = (ToolSpec("up"),)
    desk.start(
        instructions="Be brief.",
        params={"temperature": 0},
        tools=tools,
        tool_choice="auto",
        request_id="req_1",
    ).result()
    (call,) = desk.provider.calls
    assert desk.shown() == [
        ("system", "You are main.\n\n# SOUL.md\n\nBe kind.\n\nBe brief."),
        ("user", "hi"),
    ]
    assert (call.model, call.tools, call.tool_choice, call.request_id) == ("m", tools, "auto", "req_1")
    assert dict(call.params) == {"temperature": 0, "seed": 5}


def test_without_words_of_its_own_an_agent_sends_no_system_message(desk: Desk):
    desk.start().result()
    assert desk.shown() == [("user", "hi")]


def test_a_session_remembers_and_a_stateless_run_does_not(desk: Desk):
    for key in ("chat", None, "chat"):
        desk.start("hi", key).result()
    assert desk.shown(1) == [("user", "hi")]
    assert desk.shown(2) == [("user", "hi"), ("assistant", "Hello"), ("user", "hi")]
    assert desk.said("chat") == [("user", "hi", "complete"), ("assistant", "Hello", "complete")] * 2
    assert [one.run_count for one in desk.store.index.sessions(10)] == [2]


def test_tool_calls_are_kept_and_their_results_go_on(desk: Desk):
    call = ToolCall("c1", "up", "{}")
    desk.provider = FakeProvider(
        [ToolCallDelta(0, "c1", "up", "{}"), ModelFinished("tool_calls", USED)], says("HI")
    )
    result = desk.open().start("shout hi", "chat").result()
    assert (result.reason, result.tool_calls) == ("tool_calls", (call,))
    desk.start(key="chat", messages=(Message("tool", "HI", (), "c1"),)).result()
    assert desk.provider.calls[1].messages == (
        Message("user", "shout hi"),
        Message("assistant", "", (call,)),
        Message("tool", "HI", (), "c1"),
    )


def test_the_model_of_the_request_replaces_the_agents_and_its_fallbacks(desk: Desk):
    desk.set_agent(fallbacks=("fake/other",))
    desk.provider = FakeProvider([UpstreamTimeout("late")], says("hi"), standing=[UpstreamTimeout("late")])
    desk.open().start().result()
    assert [call.model for call in desk.provider.calls] == ["m", "other"]
    with pytest.raises(UpstreamTimeout):
        desk.start(model="fake/mine").result()
    assert desk.provider.calls[-1].model == "mine"
    assert desk.failed_calls == ["fake/m", "fake/mine"]


def test_a_callers_own_run_id_is_used(desk: Desk):
    gate = Gate()
    desk.provider = FakeProvider([gate, *says("hi")])
    run = desk.open().start(run_id="mine")
    assert (run.id, desk.runs.get("mine")) == ("mine", run)
    gate.open()
    run.result()
    wait_until(lambda: desk.runs.get("mine") is None)


def test_when_it_waited_spoke_and_ended_is_known(desk: Desk):
    run = desk.start()
    run.result()
    wait_until(lambda: desk.ended)
    fields = describe_end(run)
    waited, spoke, total = fields["queue_ms"], fields["first_token_ms"], fields["total_ms"]
    assert waited is not None
    assert spoke is not None
    assert total is not None
    assert 0 <= waited <= spoke <= total
    assert desk.ended == [run]


def test_who_waits_for_the_end_alone_has_it_driven_on_the_spot(desk: Desk):
    desk.spawn = lambda *_: pytest.fail("on the side")
    watched: list[Run] = []

    def watch(run: Run) -> AbstractContextManager[object]:
        assert not run.ended
        watched.append(run)
        return nullcontext()

    run = desk.open().runs.complete(request("hi", "chat"), watch)
    assert run.ended
    assert watched == [run] == desk.ended
    assert desk.runs.active == []
    assert run.result().text == "Hello"
    assert desk.said("chat") == [("user", "hi", "complete"), ("assistant", "Hello", "complete")]


def test_its_watch_can_stop_it(desk: Desk):
    gate = Gate()
    desk.provider = FakeProvider([*says("Hel")[:1], gate])

    @contextmanager
    def watch(run: Run) -> Iterator[None]:
        def leave() -> None:
            gate.wait()
            run.abort(RunAborted("gone"))

        leaving = threading.Thread(target=leave)
        leaving.start()
        yield
        leaving.join()

    run = desk.open().runs.complete(request("hi", "chat"), watch)
    with pytest.raises(RunAborted):
        run.result()
    assert desk.said("chat") == [("user", "hi", "complete"), ("assistant", "Hel", "partial")]


def test_a_watch_that_fails_leaves_no_run_behind(desk: Desk):
    def watch(_: Run) -> AbstractContextManager[object]:
        raise OSError("no such socket")

    with pytest.raises(OSError, match="no such socket"):
        desk.open().runs.complete(request("hi", "chat"), watch)
    assert desk.runs.active == []
    (run,) = desk.ended
    assert isinstance(run.log.end, RunFailed)
    assert desk.runs.complete(request("hi", "chat"), lambda _: nullcontext()).result().text == "Hello"


# Queues


def test_one_session_is_served_in_the_order_of_asking(desk: Desk):
    gate = Gate()
    desk.provider = FakeProvider([gate, *says("0")], *[says(str(number)) for number in range(1, 8)])
    desk.open()
    runs = [desk.start(f"q{number}", "chat") for number in range(8)]
    gate.wait()
    assert len(desk.runs.active) == 8
    assert len(desk.provider.calls) == 1
    gate.open()
    assert [run.result().text for run in runs] == [str(number) for number in range(8)]
    assert [desk.shown(number)[-1] for number in range(8)] == [("user", f"q{number}") for number in range(8)]
    assert len(desk.shown(7)) == 15  # every earlier turn, in full
    ends = [run.ended_at or 0 for run in runs]
    assert ends == sorted(ends)


@pytest.mark.parametrize("keys", [["a", "b", "c"], [None, None, None], ["a", None, "b"]])
def test_different_sessions_are_served_side_by_side(desk: Desk, keys: list[str | None]):
    gate = Gate()
    desk.provider = FakeProvider(standing=[gate, *says("hi")])
    desk.open()
    runs = [desk.start("hi", key) for key in keys]
    gate.wait(3)
    gate.open()
    assert [run.result().text for run in runs] == ["hi"] * 3


def test_a_full_queue_refuses_and_keeps_nothing_of_it(desk: Desk):
    gate = Gate()
    desk.provider, desk.lanes = FakeProvider([gate, *says("a")], standing=says("b")), Lanes(cap=1)
    desk.open()
    runs = [desk.start("one", "chat"), desk.start("two", "chat")]
    with pytest.raises(SessionBusy) as caught:
        desk.start("three", "chat")
    assert caught.value.retry_after
    desk.start("four", "other").result()
    gate.open()
    assert [run.result().text for run in runs] == ["a", "b"]
    assert ("user", "three", "complete") not in desk.said("chat")
    desk.start("five", "chat").result()


def test_a_run_that_is_stopped_in_the_queue_lets_the_next_one_go(desk: Desk):
    gate = Gate()
    desk.provider = FakeProvider([gate, *says("a")], says("c"))
    desk.open()
    first, second, third = (desk.start(text, "chat") for text in ("one", "two", "three"))
    gate.wait()
    assert second.abort(STOP)
    with pytest.raises(RunAborted):
        second.result()
    gate.open()
    assert [first.result().text, third.result().text] == ["a", "c"]
    assert len(desk.provider.calls) == 2


def test_an_agent_runs_only_so_often_at_a_time(desk: Desk):
    gate = Gate()
    desk.set_agent(max_concurrent=2)
    desk.provider = FakeProvider(standing=[gate, *says("hi")])
    desk.open()
    runs = [desk.start("hi", key) for key in ("a", "b", "c", None)]
    gate.wait(2)
    time.sleep(0.02)
    assert len(desk.provider.calls) == 2
    gate.open()
    assert [run.result().text for run in runs] == ["hi"] * 4


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (2, 5)])
def test_nobody_waits_for_ever_when_that_number_changes(desk: Desk, before: int, after: int):
    gates = [Gate() for _ in range(6)]
    desk.set_agent(max_concurrent=before)
    desk.provider = FakeProvider(*[[gate, *says("hi")] for gate in gates])
    desk.open()
    runs = [desk.start() for _ in range(before)]
    for gate in gates[:before]:
        gate.wait()
    desk.set_agent(max_concurrent=after)
    runs += [desk.start() for _ in range(6 - before)]
    for gate in gates:
        gate.open()
        time.sleep(0.005)
    wait_until(lambda: all(run.ended for run in runs))


# What is refused


def test_what_can_be_refused_is_refused_before_anything_happened(desk: Desk):
    refused = [
        (request(agent="nobody", key="chat"), UnknownAgent),
        (request(model="nobody/m", key="chat"), InvalidRequest),
        (request(model="m", key="chat"), InvalidRequest),
        (request(model="fake/", key="chat"), InvalidRequest),
    ]
    for wanted, expected in refused:
        with pytest.raises(expected):
            desk.runs.start(wanted)
    assert (desk.provider.calls, desk.store.index.sessions(10), list(desk.runs.active)) == ([], [], [])


def test_an_agents_unknown_models_are_refused_before_anything_happened(desk: Desk):
    for changes in ({"model": "nobody/m"}, {"fallbacks": ("nobody/m",)}):
        desk.set_agent(**changes)
        with pytest.raises(InvalidRequest):
            desk.start(key="chat")
    assert desk.store.index.sessions(10) == []


def test_the_gateways_limit_of_runs(desk: Desk):
    gate = Gate()
    desk.settings = replace(desk.settings, gateway=GatewaySettings(max_runs=2))
    desk.provider = FakeProvider([gate, *says("a")], standing=says("b"))
    desk.open()
    first, second = desk.start("one", "chat"), desk.start("two", "chat")
    with pytest.raises(Overloaded) as caught:
        desk.start()
    assert caught.value.retry_after
    gate.open()
    assert [first.result().text, second.result().text] == ["a", "b"]
    wait_until(lambda: not desk.runs.active)
    desk.start().result()


def test_a_session_that_cannot_be_stored_is_refused_and_its_queue_stays_open(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> int:
        raise StorageUnavailable("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(desk.store.runs, "accept", refuse)
        with pytest.raises(StorageUnavailable):
            desk.start(key="chat")
    assert list(desk.runs.active) == []
    assert desk.start(key="chat").result().text == "Hello"


# How it ends


CUT = (TextDelta("ha"), UpstreamTruncated("cut"))
HARD_ENDS: list[tuple[Any, type[GatewayError], str | None]] = [
    ([UpstreamError("no")], UpstreamError, None),
    (CUT, UpstreamTruncated, "ha"),
    ([InvalidRequest("400")], InvalidRequest, None),
    ([ValueError("a fault")], InternalError, None),
    ([TextDelta("ha"), KeyError("a fault")], InternalError, "ha"),
    ([lambda _: {}["a fault"]], InternalError, None),
    ([], InternalError, None),
    ([TextDelta("ha")], InternalError, "ha"),
]


@pytest.mark.parametrize("key", [None, "chat"])
@pytest.mark.parametrize(("script", "expected", "partial"), HARD_ENDS)
def test_whatever_breaks_there_is_one_last_event(
    desk: Desk, key: str | None, script: Any, expected: type[GatewayError], partial: str | None
):
    desk.provider = FakeProvider(script, standing=says("well"))
    run = desk.open().start("hi", key)
    happened = events(run)
    assert isinstance(happened[0], RunStarted)
    end = happened[-1]
    assert isinstance(end, RunFailed)
    assert (type(end.as_error()), end.aborted) == (expected, False)
    assert not any(isinstance(event, RunFailed | RunFinished) for event in happened[:-1])
    assert "a fault" not in end.message
    with pytest.raises(expected):
        run.result()
    if key:
        kept = [("assistant", partial, "partial")] if partial else []
        assert desk.said(key) == [("user", "hi", "complete"), *kept]
        assert desk.start("again", key).result().text == "well"
    wait_until(lambda: not desk.runs.active)


def fail_in_a_call(_cancel: Cancel) -> None:
    raise UpstreamError("no")


def fail_because_of_another(_cancel: Cancel) -> None:
    try:
        int("no number")
    except ValueError as error:
        raise UpstreamTimeout("late") from error


def is_stopped(cancel: Cancel) -> None:
    cancel.cancel(RunAborted("stop"))
    cancel.check()


@pytest.mark.parametrize("key", [None, "chat"])
@pytest.mark.parametrize("fallbacks", [(), ("fake/n", "fake/o")])
@pytest.mark.parametrize(
    "script",
    [
        says("all"),
        [fail_in_a_call],
        [TextDelta("ha"), fail_in_a_call],
        [fail_because_of_another],
        [TextDelta("ha"), is_stopped],
    ],
)
def test_nothing_of_an_ended_run_waits_for_the_garbage_collector(
    desk: Desk, key: str | None, fallbacks: tuple[str, ...], script: Any
):
    """An answer may have many megabytes, and collections do not come by bytes."""
    desk.set_agent(fallbacks=fallbacks)
    desk.provider = FakeProvider(standing=script)
    gc.disable()
    try:
        run = desk.open().start("hi", key)
        assert run.wait(30)
        answer = weakref.ref(run.answer)
        del run
        wait_until(lambda: desk.ended)
        desk.ended.clear()
        wait_until(lambda: answer() is None)
    finally:
        gc.enable()


@pytest.mark.parametrize("broken", ["history", "finish", "reconcile"])
@pytest.mark.parametrize("error", [StorageUnavailable("disk full"), ValueError("a fault")])
def test_a_store_that_breaks_ends_the_run_once_and_frees_its_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, broken: str, error: Exception
):
    def fail(*_: object, **__: object) -> None:
        raise error

    messages = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("user", "d"))
    with monkeypatch.context() as patch:
        patch.setattr(desk.store.runs, broken, fail)
        run = desk.start(key="chat", messages=messages)
        happened = events(run)
        wait_until(lambda: not desk.runs.active)
    expected = StorageUnavailable if isinstance(error, StorageUnavailable) else InternalError
    assert isinstance(happened[-1], RunFailed)
    assert happened[-1].code == expected.code
    assert sum(isinstance(event, RunFailed | RunFinished) for event in happened) == 1
    assert desk.start("again", "chat").result().text == "Hello"


def test_a_run_that_is_stopped_keeps_what_it_said_and_its_mark(desk: Desk):
    gate = Gate()
    desk.provider = FakeProvider([TextDelta("Hel"), gate, *says("never")], standing=says("well"))
    run = desk.open().start("hi", "chat")
    gate.wait()
    assert run.abort(STOP) is True
    assert run.abort(RunAborted("again")) is False
    assert events(run)[-1] == RunFailed.of(STOP, aborted=True)
    assert run.abort(STOP) is False
    assert desk.said("chat") == [("user", "hi", "complete"), ("assistant", "Hel", "partial")]
    desk.start("more", "chat").result()
    assert desk.shown()[-1] == ("user", "more")


def test_a_run_that_takes_too_long_is_stopped(desk: Desk):
    gate = Gate()
    desk.set_agent(timeout_seconds=0.02)
    desk.provider = FakeProvider([gate, *says("never")])
    run = desk.open().start()
    gate.wait()
    time.sleep(0.03)
    desk.runs.stop_overdue()
    with pytest.raises(UpstreamTimeout, match=r"0\.02 s"):
        run.result()


def test_waiting_in_the_queue_is_not_counted(desk: Desk):
    gate = Gate()
    desk.set_agent(timeout_seconds=3600)
    desk.provider = FakeProvider([gate, *says("a")], says("b"))
    desk.open()
    first = desk.start("one", "chat")
    gate.wait()
    desk.set_agent(timeout_seconds=0.0001)
    second = desk.start("two", "chat")
    time.sleep(0.01)
    desk.runs.stop_overdue()
    assert not first.cancel.cancelled
    assert not second.cancel.cancelled
    gate.open()
    assert [first.result().text, second.result().text] == ["a", "b"]


def test_draining_lets_runs_end_and_takes_no_new_ones(desk: Desk):
    gate = Gate()
    desk.provider = FakeProvider([gate, *says("a")])
    run = desk.open().start("hi", "chat")
    gate.wait()
    drained = threading.Thread(target=desk.runs.drain, args=(10,))
    drained.start()
    wait_until(lambda: desk.runs.draining)
    with pytest.raises(Draining) as caught:
        desk.start()
    assert caught.value.retry_after
    assert drained.is_alive()
    gate.open()
    drained.join(30)
    assert not drained.is_alive()
    assert run.result().text == "a"


def test_draining_stops_what_does_not_end_queued_ones_too(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    gate = Gate()
    desk.provider = FakeProvider([TextDelta("ha"), gate, *says("never")])
    desk.open()
    runs = [desk.start("one", "chat"), desk.start("two", "chat")]
    gate.wait()
    monkeypatch.setattr(service, "ABORT_SECONDS", 60.0)
    start = time.monotonic()
    desk.runs.drain(0.01)
    assert time.monotonic() - start < 30, "it ends with the runs, not with the time they have"
    for run in runs:
        end = run.log.end
        assert isinstance(end, RunFailed)
        assert (end.code, end.message, end.aborted) == (Draining.code, STOPPING, True)
    assert len(desk.provider.calls) == 1
    assert desk.said("chat") == [
        ("user", "one", "complete"),
        ("assistant", "ha", "partial"),
        ("user", "two", "complete"),
    ]


def test_draining_an_idle_gateway_takes_no_time(desk: Desk):
    desk.start().result()
    wait_until(lambda: not desk.runs.active)
    start = time.monotonic()
    desk.runs.drain(60)
    assert time.monotonic() - start < 30


def test_many_runs_of_many_sessions_all_end_and_nothing_is_left(desk: Desk):
    desk.provider = FakeProvider(
        *[script for _ in range(20) for script in (says("a"), CUT, [ValueError("a fault")])],
        standing=says("b"),
    )
    desk.open()
    runs = [desk.start("hi", f"s{number % 7}" if number % 3 else None) for number in range(60)]
    wait_until(lambda: all(run.ended for run in runs))
    wait_until(lambda: not desk.runs.active)
    assert desk.lanes.active == 0
    assert len(desk.ended) == 60


# Those who wait for a run


@pytest.mark.parametrize("on_disconnect", ["abort", "continue"])
def test_a_run_ends_with_its_last_follower_unless_it_is_to_go_on(desk: Desk, on_disconnect: str):
    gate = Gate()
    desk.provider = FakeProvider([gate, *says("done")])
    run = desk.runs.start(request("hi", on_disconnect=on_disconnect))
    gate.wait()
    left = RunAborted("The client left.")
    first, second = run.followed(left), run.followed()
    first.leave()
    first.leave()  # counts once
    assert not run.cancel.cancelled
    with run.followed(), second:
        pass
    assert run.followers == 0
    assert run.cancel.cancelled == (on_disconnect == "abort")
    gate.open()
    assert run.wait(30)
    assert isinstance(run.log.end, RunFailed) == (on_disconnect == "abort")


def test_those_who_only_read_a_run_do_not_end_it(desk: Desk):
    gate = Gate()
    desk.provider = FakeProvider([gate, *says("done")])
    run = desk.runs.start(request("hi"))
    gate.wait()
    with run.followed():
        pass
    gate.open()
    assert run.result().text == "done"
