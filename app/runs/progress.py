"""What the events of a run say of it so far: what it is doing, with which tools, and who is asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from app.events.types import (
    ApprovalRequested,
    ApprovalResolved,
    Event,
    ExtraDelta,
    ModelFinished,
    ReasoningDelta,
    RefusalDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCalled,
    ToolReturned,
    ToolUpdated,
)
from app.messages import Usage

MAX_TOOLS = 200  # the newest calls of a run that are shown

Phase = Literal["queued", "model", "tool", "approval", "resuming", "ended"]
ToolState = Literal["running", "waiting", "done", "failed", "unknown"]

_SAY_NOTHING = frozenset((TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta, ExtraDelta, ToolUpdated))


class ToolProgress(msgspec.Struct, frozen=True):
    """A call of one of the agent's own tools. `seconds`: how long it took, None while it is at work."""

    call_id: str
    name: str
    state: ToolState
    seconds: float | None = None


class Progress:
    """Give it a run's events, in their order, from the first one on; `count` is how many it has had."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.started: RunStarted | None = None
        self.end: RunFinished | RunFailed | None = None
        self.model: str | None = None
        self.usage: Usage | None = None  # of the model calls that have ended
        self.count = 0
        self._calls: dict[str, ToolProgress] = {}
        self._approvals: dict[str, str] = {}  # those that wait: id -> call
        self.read(events)

    def read(self, events: Iterable[Event]) -> None:
        """The events that have come since."""
        for event in events:
            self.count += 1
            if type(event) not in _SAY_NOTHING:
                self._read(event)

    @property
    def phase(self) -> Phase:
        """What it is doing, of a run that has left the queue."""
        if self.end is not None:
            return "ended"
        if self._approvals:
            return "approval"
        return "tool" if any(one.state == "running" for one in self._calls.values()) else "model"

    @property
    def tools(self) -> list[ToolProgress]:
        """The calls in the order they were made; the newest MAX_TOOLS of them."""
        waiting = set() if self.end is not None else set(self._approvals.values())
        return [
            msgspec.structs.replace(one, state="waiting") if one.call_id in waiting else self._ended(one)
            for one in list(self._calls.values())[-MAX_TOOLS:]
        ]

    @property
    def approvals(self) -> list[str]:
        """The ids of those that somebody is asked for."""
        return [] if self.end is not None else list(self._approvals)

    def _ended(self, tool: ToolProgress) -> ToolProgress:
        """Of a run that has ended no call is at work any more."""
        if self.end is None or tool.state != "running":
            return tool
        return msgspec.structs.replace(tool, state="unknown")

    def _read(self, event: Event) -> None:
        match event:
            case ToolCalled(call):
                self._calls.pop(call.id, None)  # an id that comes again is another call
                self._calls[call.id] = ToolProgress(call.id, call.name, "running")
            case ToolReturned(call_id, name):
                state: ToolState = "failed" if event.is_error else "done"
                self._calls[call_id] = ToolProgress(call_id, name, state, round(event.seconds, 3))
            case ApprovalRequested(approval_id, call_id):
                self._approvals[approval_id] = call_id
            case ApprovalResolved(approval_id):
                self._approvals.pop(approval_id, None)
            case ModelFinished(usage=usage, model=model):
                self.model = model or self.model
                if usage is not None:
                    self.usage = usage if self.usage is None else self.usage + usage
            case RunStarted():
                self.started = event
            case RunFinished() | RunFailed():
                self.end = event
