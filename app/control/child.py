"""A sub-agent's run as it is remembered: its task, its state, and its result once there is one."""

from __future__ import annotations

import logging

from app.clock import now_ms
from app.control.agent_runs import Origin
from app.errors import GatewayError, RunAborted, UpstreamTimeout
from app.events.types import RunFailed
from app.ids import new_uuid
from app.logs.lines import log_event
from app.runs.run import Run
from app.sessions.base import SessionIndex
from app.tools.base import RunContext
from app.tools.sessions.host import Child, ChildState, Task

logger = logging.getLogger("app.agents")

MAX_RESULT = 20_000  # characters of an answer that are remembered


class ChildRun:
    """`chain` is how many turns in a row its parent's session has had by itself.

    `parent_session` says which conversation waits for its result (None: none does, as nothing is stored).
    `is_tied`: it ends with its parent's run, the only one that can get its result.
    """

    def __init__(self, parent: RunContext, agent_id: str, task: Task, model: str | None, chain: int) -> None:
        self.id = new_uuid()
        self.origin = Origin.of(parent)
        self.parent_key, self.parent_run_id = parent.session_key, parent.run_id
        self.parent_session: tuple[str, int] | None = None
        self.is_stored = parent.is_stored
        self.is_tied = not parent.is_stored or parent.spawn_depth > 0 or parent.source == "cli"
        self.agent_id, self.task, self.model, self.chain = agent_id, task, model, chain
        self.family = parent.run_id  # see `families.py`
        self.session_key = self.run_id = ""
        self.run: Run | None = None  # until it has ended: it holds its whole answer
        self.state: ChildState = "running"
        self.started_at, self.text = now_ms(), ""
        self.ended_at: int | None = None
        self.error: str | None = None
        self.is_delivered = False
        self._is_deleted = False

    @property
    def is_over(self) -> bool:
        return self.state != "running"

    def begin(self, run: Run) -> None:
        self.run, self.run_id = run, run.shown_id

    def end(self, run: Run) -> None:
        """Take over what came of the run, which has ended."""
        end = run.log.end
        self.run, self.ended_at = None, now_ms()
        if not isinstance(end, RunFailed):
            text = run.answer.text or run.answer.refusal or ""
            if len(text) > MAX_RESULT:
                text = f"{text[:MAX_RESULT]}…\n[{len(text) - MAX_RESULT} more characters]"
            self.text, self.state = text, "done"
            return
        self.error = end.message
        if end.code == UpstreamTimeout.code and end.aborted:
            self.state = "timeout"
        else:
            self.state = "aborted" if end.aborted else "failed"

    def abort(self, why: str) -> None:
        if self.run is not None:
            self.run.abort(RunAborted(why))

    def deliver(self, index: SessionIndex) -> None:
        """The parent has the result, if there is one. Its session is deleted if it is not to be kept."""
        if not self.is_over:
            return
        self.is_delivered = True
        if self.task.keep or not self.is_stored or self._is_deleted:
            return
        self._is_deleted = True
        try:
            index.delete(self.session_key)
        except GatewayError as error:
            log_event(logger, logging.WARNING, "a sub-agent's session was not deleted", error=error.message)

    def shown(self) -> Child:
        return Child(
            id=self.id,
            run_id=self.run_id,
            session_key=self.session_key,
            agent_id=self.agent_id,
            task=self.task,
            model=self.model or "",
            state=self.state,
            started_at=self.started_at,
            ended_at=self.ended_at,
            text=self.text,
            error=self.error,
            is_tied=self.is_tied,
        )
