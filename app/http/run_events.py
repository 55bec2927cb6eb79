"""What an HTTP caller wants to see of a run besides its answer: the header `x-openclaw-events`
(docs/http.md#events-of-tools).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

from app.errors import UnsupportedValue
from app.events.types import (
    ApprovalRequested,
    ApprovalResolved,
    Event,
    ToolCalled,
    ToolReturned,
    ToolUpdated,
)
from app.exchange import GatewayRequest
from app.http.headers import openclaw_header
from app.tools.display import shown_arguments

HEADER = "x-openclaw-events"
EventKind = Literal["tools", "approvals", "reasoning"]
WantedEvents = frozenset[EventKind]
KINDS: tuple[EventKind, ...] = get_args(EventKind)
NO_EVENTS: WantedEvents = frozenset()


def load_wanted_events(request: GatewayRequest) -> WantedEvents:
    """The words of the header. Raises UnsupportedValue for one that there is not."""
    header = openclaw_header(request, "events")
    if header is None:
        return NO_EVENTS
    words = {word.strip().lower() for word in header.split(",")} - {""}
    wanted = frozenset(kind for kind in KINDS if kind in words)
    if unknown := sorted(words - wanted):
        raise UnsupportedValue(
            f"`{HEADER}` has {unknown[0][:40]!r}; it may have: {', '.join(KINDS)}.", param=HEADER
        )
    return wanted


def dump_run_event(event: Event, wanted: WantedEvents) -> dict[str, Any] | None:
    """The event as the `openclaw` of a chunk; None if it is none that the caller wants."""
    match event:
        case ToolCalled(call) if "tools" in wanted:
            call_id = {"tool_call_id": call.id, "name": call.name}
            return {"type": "tool.start", **call_id, "arguments": shown_arguments(call)}
        case ToolUpdated(call_id, name, text) if "tools" in wanted:
            return {"type": "tool.update", "tool_call_id": call_id, "name": name, "output": text}
        case ToolReturned() if "tools" in wanted:
            return {"type": "tool.result", **_result(event)}
        case ApprovalRequested(approval_id, call_id, approval) if "approvals" in wanted:
            about = {"approval_id": approval_id, "tool_call_id": call_id, "approval": approval}
            return {"type": "approval.requested", **about}
        case ApprovalResolved(approval_id, call_id, decision) if "approvals" in wanted:
            resolved = {"approval_id": approval_id, "tool_call_id": call_id, "decision": decision}
            return {"type": "approval.resolved", **resolved}
    return None


def dump_run_events(events: Iterable[Event], wanted: WantedEvents) -> dict[str, Any]:
    """The `openclaw` of a whole answer: the tools and approvals of the run, in order."""
    found: dict[str, Any] = {}
    if "tools" in wanted:
        found["tools"] = _tools(events)
    if "approvals" in wanted:
        found["approvals"] = [
            {"approval_id": one.approval_id, "tool_call_id": one.call_id, "decision": one.decision}
            for one in events
            if isinstance(one, ApprovalResolved)
        ]
    return found


def _tools(events: Iterable[Event]) -> list[dict[str, Any]]:
    called: dict[str, dict[str, Any]] = {}
    tools = []
    for event in events:
        if isinstance(event, ToolCalled):
            called[event.call.id] = {"arguments": shown_arguments(event.call)}
        elif isinstance(event, ToolReturned):
            tools.append({**_result(event), **called.pop(event.call_id, {})})
    return tools


def _result(event: ToolReturned) -> dict[str, Any]:
    return {
        "tool_call_id": event.call_id,
        "name": event.name,
        "output": event.text,
        "details": event.details,
        "is_error": event.is_error,
        "duration_ms": round(event.seconds * 1000),
    }
