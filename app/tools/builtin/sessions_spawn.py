"""`sessions_spawn`: starts a sub-agent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.parameters import Parameters
from app.tools.sessions.host import Subagents, Task
from app.tools.sessions.rows import as_json

MAX_TASK = 100_000  # characters
MAX_LABEL = 120

TIED = (
    "It ends when your own run ends: wait for it with `subagents` (action `wait`) or `sessions_yield` before "
    "you answer."
)
FREE = (
    "Its result comes to you: at once if you wait with `sessions_yield`, else in a later turn. Do not poll."
)


class SessionsSpawn(Parameters):
    task: Annotated[
        str,
        Meta(
            description="What it is to do. It knows nothing else of you.", min_length=1, max_length=MAX_TASK
        ),
    ]
    task_name: Annotated[str, Meta(description="A short name.", pattern="^[a-z][a-z0-9_-]{0,63}$")] | None = (
        None
    )
    label: Annotated[str, Meta(description="A title for people.", max_length=MAX_LABEL)] | None = None
    agent_id: Annotated[str, Meta(description="Another agent, see agents_list.")] | None = None
    model: Annotated[str, Meta(description="Another model, `provider/model`.")] | None = None
    thinking: Annotated[str, Meta(description="off, minimal, low, medium or high.")] | None = None
    run_timeout_seconds: (
        Annotated[float, Meta(description="The longest that it may take; 0: the agent's limit.", ge=0)] | None
    ) = None
    cleanup: Annotated[
        Literal["delete", "keep"], Meta(description="Whether its conversation is kept. Default keep.")
    ] = "keep"
    mode: Literal["run", "session"] = "run"
    runtime: str | None = None
    cwd: str | None = None
    sandbox: Literal["inherit", "require"] = "inherit"
    context: Literal["isolated", "fork"] = "isolated"
    attachments: list[dict[str, Any]] | None = None
    expects_completion_message: bool | None = None
    completion_target: Literal["parent"] | None = None
    collect: bool | None = None
    output_schema: dict[str, Any] | None = None
    group_id: str | None = None


class SessionsSpawnTool:
    def __init__(self, subagents: Subagents) -> None:
        self._subagents = subagents

    def tool(self) -> Tool:
        return define_tool(
            "sessions_spawn",
            "Start a sub-agent, which works on a task by itself, in a conversation of its own, while you go "
            "on. Answers at once. Good for work that takes long, or that can be done beside other work.",
            SessionsSpawn,
            self._spawn,
            summary="start a sub-agent that works on a task of its own",
        )

    def _spawn(self, call: Invocation, given: SessionsSpawn) -> ToolOutput:
        _refuse_unknown(given)
        task = Task(
            text=given.task,
            name=given.task_name,
            label=given.label,
            agent_id=given.agent_id,
            model=given.model,
            thinking=given.thinking,
            seconds=given.run_timeout_seconds,
            keep=given.cleanup == "keep",
        )
        child = self._subagents.spawn(call.run, task)
        return as_json(
            {
                "status": "accepted",
                "taskId": child.id,
                "runId": child.run_id,
                "sessionKey": child.session_key,
                "childSessionKey": child.session_key,
                "agentId": child.agent_id,
                "model": child.model,
                "mode": "run",
                "note": TIED if child.is_tied else FREE,
            }
        )


def _refuse_unknown(given: SessionsSpawn) -> None:
    """Raise ToolError for what would be expected to happen, and does not."""
    if given.attachments:
        raise ToolError("Sub-agents get no attachments: write the files in the workspace, and name them.")
    if given.mode != "run":
        raise ToolError('Sub-agents do one task and end: `mode` is "run".')
    if given.sandbox == "require":
        raise ToolError(
            "A sub-agent cannot be put in a sandbox of its own; commands have theirs (tools.exec)."
        )
    if given.context == "fork":
        raise ToolError("A sub-agent does not get your conversation: say in `task` what it has to know.")
