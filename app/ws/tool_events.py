"""Calls of tools, and what waits for approval, as data of `agent` events (docs/websocket.md#tools-at-work).

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from app.clock import now_ms
from app.events.types import (
    ApprovalRequested,
    ApprovalResolved,
    Event,
    ToolCalled,
    ToolReturned,
    ToolUpdated,
)
from app.messages import ToolCall
from app.tools.display import call_summary, last_line, shown_arguments, tool_title

COMMANDS = frozenset({"exec", "process"})  # the tools whose results are the output of a command
_COMMAND_FACTS = ("exitCode", "durationMs", "cwd")


class StreamData(NamedTuple):
    """The data of an event of a stream.

    `brief` is the same without bodies, for those that get no output of tools; None: there is no such
    difference. `is_detail`: it is for those alone who want the details of tools. `droppable`: a later one
    says the same.
    """

    stream: str
    data: Mapping[str, Any]
    is_detail: bool = False
    brief: Mapping[str, Any] | None = None
    droppable: bool = False


class _Card:
    """A call, as all who watch the run see it."""

    def __init__(self, call: ToolCall, arguments: Mapping[str, Any]) -> None:
        self.call = call
        self._started_at = now_ms()
        self.summary = call_summary(arguments)

    def item(self, phase: str, status: str, **more: Any) -> StreamData:
        data = {
            "itemId": f"tool:{self.call.id}",
            "toolCallId": self.call.id,
            "name": self.call.name,
            "kind": "tool",
            "phase": phase,
            "title": tool_title(self.call.name),
            "status": status,
            "startedAt": self._started_at,
            **more,
        }
        if self.summary is not None:
            data["meta"] = self.summary
        return StreamData("item", data, droppable=phase == "update")


class ToolEvents:
    """Those of one run. `successful` are the names of the tools that have answered without an error."""

    def __init__(self) -> None:
        self._cards: dict[str, _Card] = {}
        self.successful: dict[str, None] = {}

    def encode(self, event: Event) -> Iterator[StreamData]:
        """What is sent for an event; nothing for one that is about something else."""
        match event:
            case ToolCalled(call):
                yield from self._called(call)
            case ToolUpdated():
                yield from self._updated(event)
            case ToolReturned():
                yield from self._returned(event)
            case ApprovalRequested(approval_id, call_id):
                yield StreamData("lifecycle", _approval("waiting-approval", approval_id, call_id))
            case ApprovalResolved(approval_id, call_id, decision):
                data = _approval("approval-resolved", approval_id, call_id)
                yield StreamData("lifecycle", data if decision is None else {**data, "decision": decision})

    def _called(self, call: ToolCall) -> Iterator[StreamData]:
        arguments = shown_arguments(call)
        card = self._cards[call.id] = _Card(call, arguments)
        yield StreamData("tool", {**_tool("start", call.name, call.id), "args": arguments}, is_detail=True)
        yield card.item("start", "running")

    def _updated(self, event: ToolUpdated) -> Iterator[StreamData]:
        head = _tool("update", event.name, event.call_id)
        data = {**head, "partialResult": _body(event.text)}
        yield StreamData("tool", data, is_detail=True, brief=head, droppable=True)
        if event.name in COMMANDS:
            output = {**self._command("delta", event), "output": event.text, "status": "running"}
            yield StreamData("command_output", output, is_detail=True, droppable=True)
        if (card := self._cards.get(event.call_id)) is not None:
            yield card.item("update", "running", progressText=last_line(event.text))

    def _returned(self, event: ToolReturned) -> Iterator[StreamData]:
        card = self._cards.get(event.call_id)
        if not event.is_error:
            self.successful[event.name] = None
        head = _tool("result", event.name, event.call_id) | {"isError": event.is_error}
        if card is not None and card.summary is not None:
            head["meta"] = card.summary
        body = _body(event.text, event.details)
        yield StreamData("tool", {**head, "result": body}, is_detail=True, brief=head)
        if event.name in COMMANDS:
            yield StreamData("command_output", self._ended(event), is_detail=True)
        if card is not None:
            status = "failed" if event.is_error else "completed"
            yield card.item("end", status, endedAt=now_ms())
            del self._cards[event.call_id]

    def _ended(self, event: ToolReturned) -> dict[str, Any]:
        details = event.details
        facts = {name: details[name] for name in _COMMAND_FACTS if name in details}
        status = details.get("status") or ("failed" if event.is_error else "completed")
        output = details.get("aggregated", event.text)
        return {**self._command("end", event), "output": output, "status": status, **facts}

    def _command(self, phase: str, event: ToolUpdated | ToolReturned) -> dict[str, Any]:
        card = self._cards.get(event.call_id)
        return {
            "itemId": f"command:{event.call_id}",
            "phase": phase,
            "title": (card.summary if card is not None else None) or tool_title(event.name),
            "toolCallId": event.call_id,
            "name": event.name,
        }


def _tool(phase: str, name: str, call_id: str) -> dict[str, Any]:
    return {"phase": phase, "name": name, "toolCallId": call_id}


def _body(text: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "details": details or {}}


def _approval(phase: str, approval_id: str, call_id: str) -> dict[str, Any]:
    return {"phase": phase, "approvalId": approval_id, "toolCallId": call_id}
