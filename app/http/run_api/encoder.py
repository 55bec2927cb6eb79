"""Runs and their events as JSON (docs/runs.md#a-run-as-json, #events). Pure.

Everything that a client gets of an event is decided here, kind by kind. What tools are called with and what
they answer is cut as it is for those who follow runs over WebSocket (`app/tools/display.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from app.auth.grants import is_granted
from app.auth.principal import Principal
from app.auth.scopes import APPROVALS
from app.control.run_views import RunView
from app.events import types
from app.events.types import Event
from app.http.chat_completions.encoder import dump_usage
from app.messages import ToolCall, Usage
from app.tools.display import shown_arguments

MAX_ARGUMENTS = 64 * 1024  # characters of a call for the caller, which has had them piece by piece before


def dump_run(run: RunView, principal: Principal) -> dict[str, Any]:
    """A row of a list. Times are milliseconds since 1970."""
    error = run.error
    return {
        "id": run.id_for(principal.owner),
        "object": "run",
        "sessionKey": run.session_key,
        "agentId": run.agent_id,
        "source": run.source,
        "state": run.state,
        "phase": run.phase,
        "createdAt": run.created_at,
        "startedAt": run.started_at,
        "endedAt": run.ended_at,
        "model": run.model,
        "finishReason": run.finish_reason,
        "usage": None if run.usage is None else dump_usage(run.usage),
        "cost": None,
        "error": None if error is None else {"code": error.code, "message": error.message},
        "lastEventId": run.last_event_id,
    }


def dump_whole(run: RunView, principal: Principal, answer: dict[str, Any] | None) -> dict[str, Any]:
    """All that is known of a run. What waits for approval is shown to those who may approve."""
    return {
        **dump_run(run, principal),
        "tools": [
            {"toolCallId": one.call_id, "name": one.name, "state": one.state, "seconds": one.seconds}
            for one in run.tools
        ],
        "pendingApprovals": list(run.approvals) if is_granted(principal, APPROVALS) else [],
        "answer": answer,
    }


class EventEncoder:
    """Encodes the events of one run from a position on: `id` is an event's number, from 1."""

    def __init__(self, position: int) -> None:
        self._number = position

    def encode(self, events: Iterable[Event]) -> bytes:
        """A batch of events, as server-sent ones."""
        pieces: list[bytes] = []
        for event in events:
            self._number += 1
            kind, data = dump_event(event)
            pieces.append(b"id: %d\nevent: %s\ndata: %s\n\n" % (self._number, kind, orjson.dumps(data)))
        return b"".join(pieces)


def dump_event(event: Event) -> tuple[bytes, dict[str, Any]]:
    """The event's kind and data."""
    match event:
        case types.TextDelta(text):
            return b"text.delta", {"text": text}
        case types.ReasoningDelta(text):
            return b"reasoning.delta", {"text": text}
        case types.RefusalDelta(text):
            return b"refusal.delta", {"text": text}
        case types.ToolCallDelta(index, call_id, name, arguments):
            return b"call.delta", {"index": index, "id": call_id, "name": name, "arguments": arguments}
        case types.ExtraDelta(extra):
            return b"call.extra", {"provider": extra.provider, "fields": extra.fields}
        case types.ModelFinished(reason, usage, model):
            return b"model.end", {"reason": reason, "model": model, "usage": _usage(usage)}
        case types.RunStarted() | types.RunFinished() | types.RunFailed():
            return _of_run(event)
        case _:
            return _of_tool(event)


def _of_run(event: types.RunStarted | types.RunFinished | types.RunFailed) -> tuple[bytes, dict[str, Any]]:
    match event:
        case types.RunStarted(agent_id=agent_id, started_at=started_at, model=model):
            started = {"agentId": agent_id, "sessionKey": event.session_key, "model": model}
            return b"run.start", {**started, "createdAt": int(started_at * 1000)}
        case types.RunFinished(reason, usage, calls):
            tool_calls = [_call(call) for call in calls]
            return b"run.end", {"reason": reason, "usage": _usage(usage), "toolCalls": tool_calls}
        case types.RunFailed(code, message, param, retry_after, aborted, usage):
            error = {"code": code, "message": message, "param": param, "retryAfter": retry_after}
            return b"run.error", {"error": error, "aborted": aborted, "usage": _usage(usage)}


def _of_tool(event: Event) -> tuple[bytes, dict[str, Any]]:
    match event:
        case types.ToolCalled(call):
            called = {"toolCallId": call.id, "name": call.name, "arguments": shown_arguments(call)}
            return b"tool.start", called
        case types.ToolUpdated(call_id, name, text):
            return b"tool.update", {"toolCallId": call_id, "name": name, "output": text}
        case types.ToolReturned(call_id, name, text, is_error, details, seconds):
            result = {"output": text, "isError": is_error, "details": details, "seconds": round(seconds, 3)}
            return b"tool.result", {"toolCallId": call_id, "name": name, **result}
        case types.ApprovalRequested(approval_id, call_id, approval):
            about = {"approvalId": approval_id, "toolCallId": call_id}
            return b"approval.requested", {**about, "approval": approval}
        case types.ApprovalResolved(approval_id, call_id, decision):
            about = {"approvalId": approval_id, "toolCallId": call_id}
            return b"approval.resolved", {**about, "decision": decision}
        case _:
            raise AssertionError(f"{type(event).__name__} has no place in the stream")


def _usage(usage: Usage | None) -> dict[str, Any] | None:
    return None if usage is None else dump_usage(usage)


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "arguments": call.arguments[:MAX_ARGUMENTS]}
