"""A run as those see it who ask about it, wherever it lives and whether or not it has ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from app.events.log import EventLog
from app.events.types import RunFailed, RunFinished
from app.messages import Message, Usage
from app.runs.ledger import EndedRun
from app.runs.progress import MAX_TOOLS, Phase, Progress, ToolProgress, ToolState
from app.runs.replay import CUT
from app.runs.run import Run
from app.sessions.keys import agent_id_of, shown_run_id
from app.sessions.orphans import INTERRUPTED
from app.sessions.run_rows import Outcome, RunPosition, StoredRun, outcome_of_stop
from app.sessions.stored import StoredMessage

State = Literal["queued", "running", "completed", "failed", "cancelled", "interrupted"]
STATES: tuple[State, ...] = get_args(State)
UNENDED: tuple[State, ...] = ("queued", "running")


class RunError(msgspec.Struct, frozen=True):
    """Why a run has no complete answer. `code` is one of `app.errors`."""

    code: str
    message: str


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """Times are milliseconds since 1970. `is_stored`: the database has it. `last_event_id` is the number of
    its newest event, None if its events are not known here.
    """

    id: str
    session_key: str
    agent_id: str
    source: str | None
    state: State
    phase: Phase
    created_at: int
    is_stored: bool
    started_at: int | None = None
    ended_at: int | None = None
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    tools: Sequence[ToolProgress] = ()
    approvals: Sequence[str] = ()
    error: RunError | None = None
    last_event_id: int | None = None

    @property
    def has_ended(self) -> bool:
        return self.state not in UNENDED

    @property
    def place(self) -> RunPosition:
        return RunPosition(self.created_at, self.id)

    def id_for(self, owner: str | None) -> str:
        """The id by which `owner` knows it; None is the operator, who may see two of one name."""
        return self.id if owner is None else shown_run_id(self.id, self.session_key)


def view_of_run(run: Run) -> RunView:
    """A run of this process that goes on."""
    progress = run.progress
    created_at, is_queued = int(run.started_at * 1000), run.dequeued_at is None
    started_at = None
    if run.dequeued_at is not None:
        started_at = created_at + int((run.dequeued_at - run.accepted_at) * 1000)
    return RunView(
        id=run.id,
        session_key=run.session_key,
        agent_id=run.agent.id,
        source=run.request.source,
        state="queued" if is_queued else "running",
        phase="queued" if is_queued else progress.phase,
        created_at=created_at,
        started_at=started_at,
        is_stored=run.request.is_stored,
        model=run.model,
        usage=progress.usage,
        tools=progress.tools,
        approvals=progress.approvals,
        last_event_id=progress.count,
    )


def view_of_ended(run: EndedRun, events: EventLog | None) -> RunView:
    """A run that this process has brought to its end."""
    progress = Progress(events or ())
    return RunView(
        id=run.id,
        session_key=run.session_key,
        agent_id=run.agent_id,
        source=run.source,
        state=_state_of(run.end),
        phase="ended",
        created_at=int(run.started_at * 1000),
        started_at=int(run.started_at * 1000),
        ended_at=int(run.ended_at * 1000),
        is_stored=run.is_stored,
        model=run.model,
        finish_reason=_reason_of(run.end),
        usage=_usage_of(run.end),
        error=_error_of(run.end),
        tools=progress.tools,
        last_event_id=None if events is None else events.length,
    )


def view_of_events(run_id: str, events: EventLog) -> RunView | None:
    """A run of which nothing is known but its events; None if they do not say enough."""
    progress = Progress(events)
    started = progress.started
    if started is None:
        return None
    end = progress.end
    return RunView(
        id=run_id,
        session_key=started.session_key,
        agent_id=started.agent_id,
        source=None,
        state="running" if end is None else _state_of(end),
        phase=progress.phase,
        created_at=int(started.started_at * 1000),
        is_stored=False,
        model=progress.model,
        finish_reason=_reason_of(end),
        usage=progress.usage if end is None else _usage_of(end),
        error=_error_of(end),
        tools=progress.tools,
        approvals=progress.approvals,
        last_event_id=events.length,
    )


def view_of_stored(
    run: StoredRun,
    messages: Sequence[StoredMessage],
    events: EventLog | None,
    *,
    is_dead: bool = False,
) -> RunView:
    """A run of the database. `messages` are its own, `is_dead`: the worker that has it is no more."""
    progress = Progress(events or ())
    state, phase = _state_of_stored(run, progress, is_dead)
    return RunView(
        id=run.id,
        session_key=run.session_key,
        agent_id=agent_id_of(run.session_key, run.agent_id),
        source=run.source,
        state=state,
        phase=phase,
        created_at=run.accepted_at,
        started_at=run.dequeued_at,
        ended_at=run.ended_at,
        is_stored=True,
        model=run.model or progress.model,
        finish_reason=run.finish_reason,
        usage=run.usage or progress.usage,
        tools=progress.tools if progress.count else tools_of(messages, has_ended=run.has_ended),
        approvals=progress.approvals,
        error=_error_of_stored(run, state),
        last_event_id=None if events is None else events.length,
    )


def tools_of(messages: Sequence[StoredMessage], *, has_ended: bool) -> list[ToolProgress]:
    """The calls that the stored messages of a run have. How long one took is not stored."""
    found: dict[str, ToolProgress] = {}
    for message in (one.message for one in messages if one.state == "step"):
        for call in message.tool_calls:
            state: ToolState = "unknown" if has_ended else "running"
            found[call.id] = ToolProgress(call.id, call.name, state)
        called = found.get(message.tool_call_id or "")
        if called is not None:
            found[called.call_id] = msgspec.structs.replace(called, state=_result_state(message))
    return list(found.values())[-MAX_TOOLS:]


def _result_state(result: Message) -> ToolState:
    return "unknown" if result.text == INTERRUPTED else "done"


def _state_of(end: RunFinished | RunFailed) -> State:
    if isinstance(end, RunFinished):
        return "completed"
    return _state(outcome_of_stop(end.code)) if end.aborted else "failed"


def _reason_of(end: RunFinished | RunFailed | None) -> str | None:
    return end.reason if isinstance(end, RunFinished) else None


def _usage_of(end: RunFinished | RunFailed) -> Usage | None:
    return end.usage if isinstance(end, RunFinished) or end.usage.total_tokens else None


def _error_of(end: RunFinished | RunFailed | None) -> RunError | None:
    return RunError(end.code, end.message) if isinstance(end, RunFailed) else None


def _state(outcome: Outcome) -> State:
    return "running" if outcome == "unended" else outcome


def _state_of_stored(run: StoredRun, progress: Progress, is_dead: bool) -> tuple[State, Phase]:
    if run.has_ended:
        return _state(run.outcome), "ended"
    if is_dead and not run.is_resumable:
        return "interrupted", "ended"
    if is_dead and run.dequeued_at is not None:
        return "running", "resuming"
    if run.dequeued_at is None and progress.count <= 1:
        return "queued", "queued"
    return "running", "model" if progress.phase == "ended" else progress.phase


def _error_of_stored(run: StoredRun, state: State) -> RunError | None:
    if run.error_code is None:
        return RunError("run_interrupted", CUT) if state == "interrupted" else None
    return RunError(run.error_code, run.error_message or "")
