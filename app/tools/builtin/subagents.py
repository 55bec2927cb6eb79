"""`subagents`: what the sub-agents of a conversation are doing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from app.clock import now_ms
from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.parameters import Parameters
from app.tools.sessions.host import Child, Subagents
from app.tools.sessions.rows import as_json

DEFAULT_WAIT, MAX_WAIT = 30.0, 60.0  # seconds
MAX_PREVIEW = 200  # characters of a result in a list


class SubagentsCall(Parameters):
    action: Annotated[Literal["list", "wait", "cancel"], Meta(description="What to do.")] = "list"
    recent_minutes: Annotated[int, Meta(description="For list: only those of so lately.", ge=1)] | None = None
    task_id: Annotated[str, Meta(description="Of which one; also its taskName or session key.")] | None = None
    task_ids: (
        Annotated[list[str], Meta(description="Or of which ones.", min_length=1, max_length=32)] | None
    ) = None
    timeout_seconds: Annotated[
        float, Meta(description="How long to wait. Default 30.", ge=0, le=MAX_WAIT)
    ] = DEFAULT_WAIT


class SubagentsTool:
    def __init__(self, subagents: Subagents) -> None:
        self._subagents = subagents

    def tool(self) -> Tool:
        return define_tool(
            "subagents",
            "Your sub-agents: list them; wait until all of them have ended, or those that you name, and get "
            "their results; cancel one.",
            SubagentsCall,
            self._do,
            summary="list, await or cancel your sub-agents",
            seconds=None,
            max_chars=200_000,
        )

    def _do(self, call: Invocation, given: SubagentsCall) -> ToolOutput:
        ids = [one for one in (given.task_id, *(given.task_ids or ())) if one]
        if given.action == "list":
            return self._list(call, given.recent_minutes)
        if given.action == "cancel":
            if not ids:
                raise ToolError("Give `taskId`: which sub-agent to cancel.")
            return _dump([self._subagents.cancel(call.run, one) for one in ids], whole=True)
        if not ids:
            ids = [one.id for one in self._subagents.of(call.run) if one.state == "running"]
        if not ids:
            return _dump(list(self._subagents.of(call.run)), whole=True)
        return _dump(self._subagents.wait(call.run, ids, given.timeout_seconds, call.cancel), whole=True)

    def _list(self, call: Invocation, minutes: int | None) -> ToolOutput:
        since = now_ms() - minutes * 60_000 if minutes else 0
        found = [one for one in self._subagents.of(call.run) if (one.ended_at or now_ms()) >= since]
        return _dump(found, whole=False)


def _dump(children: list[Child] | Any, *, whole: bool) -> ToolOutput:
    rows = [dump_child(one, whole=whole) for one in children]
    has_words = any("result" in row for row in rows)
    answer = {"count": len(rows), "subagents": rows}
    return as_json(answer, "sub-agents" if has_words else None)


def dump_child(child: Child, *, whole: bool) -> dict[str, Any]:
    """A sub-agent's row, with its whole result or the start of it; what is not known is left out."""
    row = {
        "taskId": child.id,
        "taskName": child.task.name,
        "label": child.task.label,
        "runId": child.run_id,
        "sessionKey": child.session_key,
        "agentId": child.agent_id,
        "model": child.model,
        "status": child.state,
        "startedAt": child.started_at,
        "endedAt": child.ended_at,
        "error": child.error,
        "result": (child.text if whole else child.text[:MAX_PREVIEW]) if child.state == "done" else None,
    }
    return {name: value for name, value in row.items() if value is not None}
