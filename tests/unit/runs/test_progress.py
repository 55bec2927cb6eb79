"""What events say of a run."""

from __future__ import annotations

from app.events.types import (
    ApprovalRequested,
    ApprovalResolved,
    Event,
    ModelFinished,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
)
from app.messages import ToolCall, Usage
from app.runs.progress import MAX_TOOLS, Progress

STARTED = RunStarted("r", "main", "agent:main:x", 1.0)


def called(call_id: str) -> ToolCalled:
    return ToolCalled(ToolCall(call_id, "exec", "{}"))


def test_the_phases_of_a_run_with_an_approval():
    progress = Progress([STARTED])
    story: list[tuple[Event, str]] = [
        (TextDelta("hm"), "model"),
        (ModelFinished("tool_calls", Usage(1, 2), "test/test"), "model"),
        (called("1"), "tool"),
        (ApprovalRequested("a", "1"), "approval"),
        (called("2"), "approval"),
        (ApprovalResolved("a", "1", "allow-once"), "tool"),
        (ToolReturned("1", "exec", "ok", seconds=1.5), "tool"),
        (ToolReturned("2", "exec", "no", is_error=True), "model"),
        (ModelFinished("stop", Usage(10, 20)), "model"),
        (RunFinished("stop", Usage(11, 22)), "ended"),
    ]
    for event, phase in story:
        progress.read([event])
        assert progress.phase == phase, event
    assert [(one.state, one.seconds) for one in progress.tools] == [("done", 1.5), ("failed", 0.0)]
    assert progress.usage == Usage(11, 22)
    assert (progress.model, progress.count) == ("test/test", 11)


def test_a_run_that_was_stopped_has_nothing_at_work():
    progress = Progress([STARTED, called("1"), ApprovalRequested("a", "1")])
    assert [one.state for one in progress.tools] == ["waiting"]
    assert progress.approvals == ["a"]
    progress.read([RunFailed("run_aborted", "stop", aborted=True)])
    assert [one.state for one in progress.tools] == ["unknown"]
    assert progress.approvals == []


def test_only_the_newest_calls_are_shown():
    progress = Progress(called(str(number)) for number in range(MAX_TOOLS + 5))
    assert len(progress.tools) == MAX_TOOLS
    assert progress.tools[-1].call_id == str(MAX_TOOLS + 4)
