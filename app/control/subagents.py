"""The sub-agents of each session: started within bounds, waited for, stopped, and their results delivered.

Implements `app.tools.sessions.host.Subagents` (docs/tools.md#sub-agents). A result is delivered once: to a
run of the session that waits for it, else, when the session has come to rest, in a turn of its own
(`announcements.py`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from app.cancel import Cancel
from app.concurrency.background import spawn
from app.config.agent_settings import AgentSettings
from app.control.agent_runs import AgentRuns, Origin
from app.control.announcements import Announcements
from app.control.child import ChildRun
from app.control.child_bounds import check_model_choice, check_room, forgettable, target_agent
from app.control.families import Families
from app.events.types import RunFailed
from app.ids import new_uuid
from app.logs.lines import log_event
from app.runs.run import Run
from app.runs.service import RunService
from app.sessions.base import SessionIndex
from app.sessions.keys import space_of
from app.sessions.rows import SPAWNED_BY
from app.tools.base import RunContext, ToolError
from app.tools.sessions.host import Child, Task

logger = logging.getLogger("app.agents")

STOP_SECONDS = 2.0
CHECK_SECONDS = 0.5  # how often those who wait look for what wakes nobody


class Subagents:
    """`runs` starts them by way of `agent_runs`; `index` has their sessions."""

    def __init__(self, runs: RunService, agent_runs: AgentRuns, index: SessionIndex) -> None:
        self._runs = runs
        self._agent_runs = agent_runs
        self._index = index
        self._lock = threading.Lock()
        self._children: dict[str, ChildRun] = {}  # by id, in the order they were started
        self._waiting: set[threading.Event] = set()
        self._families = Families()
        self._announcements = Announcements(runs, agent_runs, index, self._undelivered, self._families)

    def spawn(self, run: RunContext, task: Task) -> Child:
        """Start one. Raises ToolError (a bound is reached, the agent is not allowed) and GatewayError."""
        parent = self._runs.get(run.run_id)
        if parent is None or parent.ended:
            raise ToolError("A sub-agent can only be started by an agent's run.")
        self._announcements.check(run.run_id)
        agent = target_agent(run, task)
        if task.model:
            check_model_choice(run)
        name = task.model or agent.subagents.model
        model = self._agent_runs.known_model(name) if name else None
        child = ChildRun(run, agent.id, task, model, self._announcements.chain_of(run.run_id))
        child.family = self._families.of(run.run_id)
        self._admit(run, child)
        try:
            self._families.grow(child.family)
            started = self._start(run, child, agent)
        except BaseException:
            self._children.pop(child.id, None)
            raise
        self._families.join(started.id, child.family)
        child.begin(started)
        log_event(
            logger, logging.INFO, "sub-agent started", run_id=run.run_id, child=started.id, agent=agent.id
        )
        spawn(self._follow, child, started)
        if parent.ended:
            self._end_with(parent)
        else:
            parent.at_end(lambda: self._end_with(parent))
        return child.shown()

    def of(self, run: RunContext) -> Sequence[Child]:
        """Those that go on, and those that ended not long ago, oldest first."""
        return [one.shown() for one in self._of(run)]

    def wait(
        self, run: RunContext, child_ids: Sequence[str], seconds: float, cancel: Cancel
    ) -> Sequence[Child]:
        """Wait until all of these have ended, at most `seconds`; they count as delivered if they have."""
        children = [self._named(run, one) for one in child_ids]
        self._wait(lambda: all(one.is_over for one in children), seconds, cancel)
        return self._delivered(children)

    def wait_for_news(
        self, run: RunContext, seconds: float, cancel: Cancel, is_over: Callable[[], bool]
    ) -> Sequence[Child]:
        """Wait for results that were not delivered yet, until `is_over`, at most `seconds`.

        Returns those, which count as delivered.
        """

        def news() -> list[ChildRun]:
            return [one for one in self._of(run) if one.is_over and not one.is_delivered]

        self._wait(lambda: bool(news()) or is_over(), seconds, cancel)
        return self._delivered(news())

    def cancel(self, run: RunContext, child_id: str) -> Child:
        """Stop one. Raises ToolError: there is none of that id."""
        child = self._named(run, child_id)
        child.abort("Its agent has stopped it.")
        if (started := child.run) is not None and started.wait(STOP_SECONDS):
            child.end(started)  # who follows it may not have come so far
        return self._delivered([child])[0]

    def _admit(self, run: RunContext, child: ChildRun) -> None:
        """Take a place for it. Raises ToolError: there is none."""
        with self._lock:
            check_room(run, list(self._children.values()))
            for old in forgettable(list(self._children.values()), run.agent.subagents.archive_after_minutes):
                del self._children[old.id]
            self._children[child.id] = child

    # Work

    def _start(self, run: RunContext, child: ChildRun, agent: AgentSettings) -> Run:
        task = child.task
        child.session_key = f"agent:{agent.id}:{space_of(run.session_key)}subagent:{new_uuid()}"
        seconds = task.seconds if task.seconds is not None else run.agent.subagents.run_timeout_seconds
        request = self._agent_runs.request(
            Origin.of(run),
            child.session_key,
            task.text,
            depth=run.spawn_depth + 1,
            label=task.label or task.name,
            model=child.model,
            thinking=task.thinking,
            seconds=seconds or None,
            is_stored=run.is_stored,
        )
        child.model = child.model or self._agent_runs.model_of(agent.id)
        if run.is_stored:
            child.parent_session = self._announcements.session_of(run.session_key)
            self._index.patch(child.session_key, agent.id, {SPAWNED_BY: run.session_key})
        try:
            return self._agent_runs.start(request)
        except BaseException:
            if run.is_stored:
                self._index.delete(child.session_key)
            raise

    def _follow(self, child: ChildRun, run: Run) -> None:
        run.wait()
        self._families.leave(run.id)
        child.end(run)
        log_event(
            logger,
            logging.INFO,
            "sub-agent ended",
            run_id=child.parent_run_id,
            child=run.id,
            state=child.state,
        )
        self._wake()
        self._announcements.make(child.parent_key)

    def _end_with(self, parent: Run) -> None:
        """A run has ended: stop those of its sub-agents that end with it."""
        end = parent.log.end
        is_aborted = isinstance(end, RunFailed) and end.aborted
        for child in list(self._children.values()):
            if child.parent_run_id == parent.id and (is_aborted or child.is_tied):
                child.abort("The run that had started it has ended.")
                child.is_delivered = True
        self._announcements.make(parent.session_key)

    # Results

    def _undelivered(self, parent_key: str) -> list[ChildRun]:
        return [
            one
            for one in self._children.values()
            if one.parent_key == parent_key and one.is_over and not one.is_delivered and not one.is_tied
        ]

    def _of(self, run: RunContext) -> list[ChildRun]:
        return [one for one in self._children.values() if one.parent_key == run.session_key]

    def _named(self, run: RunContext, child_id: str) -> ChildRun:
        name = child_id.strip()
        for one in self._of(run):
            if name in (one.id, one.session_key, one.task.name):
                return one
        raise ToolError(
            f"You have no sub-agent {name[:100]!r}. `subagents` with `list` shows which there are."
        )

    def _delivered(self, children: Sequence[ChildRun]) -> list[Child]:
        for one in children:
            one.deliver(self._index)
        return [one.shown() for one in children]

    def _wait(self, is_over: Callable[[], bool], seconds: float, cancel: Cancel) -> None:
        deadline = time.monotonic() + seconds
        woken = threading.Event()
        self._waiting.add(woken)
        try:
            with cancel.waking(woken.set):
                while not is_over() and (left := deadline - time.monotonic()) > 0:
                    woken.wait(min(left, CHECK_SECONDS))
                    cancel.check()
                    woken.clear()
        finally:
            self._waiting.discard(woken)

    def _wake(self) -> None:
        for woken in list(self._waiting):
            woken.set()
