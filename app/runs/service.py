"""The only way to make an agent act: build a `RunRequest` (`intake.py`) and call `RunService.start`."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from app.agents.answer import Answer
from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.errors import (
    Draining,
    IdempotencyKeyReused,
    InternalError,
    Overloaded,
    UnknownAgent,
)
from app.events.bus import EventBus
from app.events.types import Event, RunFailed, RunFinished
from app.runs.acceptance import Acceptance
from app.runs.drive import RunSlots, drive
from app.runs.earlier import events_of
from app.runs.explain import Explanation
from app.runs.followers import IsFollowed, by_nobody
from app.runs.ledger import RunLedger
from app.runs.log_lines import log_end, log_start
from app.runs.plan import RunPlan
from app.runs.readers import Readers
from app.runs.request import RunRequest
from app.runs.run import Run, find_visible
from app.runs.stopping import hand_over, stop_lost, stop_overdue
from app.runs.tasks import TaskBuilder
from app.sessions.agent_lanes import AgentLanes, local_lanes
from app.sessions.base import RunStore
from app.sessions.bound_keys import KeyInUse
from app.sessions.lanes import SessionLanes
from app.sessions.stored import AcceptedRun

DRAIN_RETRY_SECONDS = 5.0
FULL_RETRY_SECONDS = 1.0
ABORT_SECONDS = 2.0

Spawn = Callable[..., object]


class RunService:
    """Starts runs, knows the active ones, and stops them.

    `settings` gives the present settings; a run keeps those it was started with. `lanes` are the sessions'
    queues, `agents` those of agents with a limit. `bus` publishes the events of each run, `ledger` remembers
    the runs that have ended, and `observe` is called with each of those. `check` raises LeaseLost if this
    process may begin nothing. `is_shared`: other workers may go on with the runs of this one.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        tasks: TaskBuilder,
        store: RunStore,
        lanes: SessionLanes,
        bus: EventBus,
        ledger: RunLedger,
        spawn: Spawn,
        observe: Callable[[Run], object],
        check: Callable[[], object] = lambda: None,
        is_shared: bool = False,
        agents: AgentLanes | None = None,
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._store = store
        self.bus = bus
        self.ledger = ledger
        self._spawn = spawn
        self._observe = observe
        self._acceptance = Acceptance(store, lanes, agents or local_lanes(), check, is_shared=is_shared)
        self._is_shared = is_shared
        self._active: dict[str, Run] = {}
        self._idle = threading.Event()
        self._idle.set()
        self.readers = Readers(lambda: self.max_active - self.readers.count - len(self._active))
        self.arriving: set[str] = set()  # ids of runs that are being taken over from other workers
        self.is_followed_elsewhere: IsFollowed = by_nobody
        self.draining = False
        self.max_active = sys.maxsize  # runs that the server has connections for, whatever the settings say

    @property
    def active(self) -> Sequence[Run]:
        return list(self._active.values())

    def get(self, run_id: str, owner: str | None = None) -> Run | None:
        """The active run of that id; of the runs that `owner` may see, if one is given."""
        return find_visible(self._active, run_id, owner)

    def in_session(self, session_key: str) -> Sequence[Run]:
        """The active runs of a session, in the order they were started."""
        return [run for run in self._active.values() if run.session_key == session_key]

    def explain(self, request: RunRequest, *, wait: bool = False) -> Explanation:
        """What a run would be given, and why. `wait`: for servers of tools that have to be started first.
        Raises UnknownAgent and InvalidRequest (unknown model).
        """
        return self._tasks.explain(request, self._agent(request), wait=wait)

    def start(self, request: RunRequest) -> Run:
        """Accept a run and drive it in the background. All that can be refused is refused here.

        Once this has returned, the user's messages are stored, even if the process dies. Raises Draining,
        Overloaded, UnknownAgent, InvalidRequest (unknown model), SessionBusy, StorageUnavailable and
        IdempotencyKeyReused (a `run_id` that another run has or had; KeyInUse, which `Repeats` looks after).
        """
        run, slots = self._begin(request)
        self._spawn(self._drive, run, slots)
        return run

    def complete(self, request: RunRequest, watch: Callable[[Run], AbstractContextManager[object]]) -> Run:
        """Accept a run, drive it in the caller's own greenlet, and return it at its end.

        For a caller who waits for nothing else: it costs no further greenlet. `watch(run)` is entered before
        the run is driven and left at its end. Raises what `start` raises.
        """
        run, slots = self._begin(request)
        try:
            with watch(run):
                self._drive(run, slots)
        finally:
            if not run.ended:  # the watch itself has failed
                run.abort(InternalError("The gateway failed on this request."))
                self._drive(run, slots)
        return run

    def _begin(self, request: RunRequest) -> tuple[Run, RunSlots]:
        run = self._admit(request)
        self._active[run.id] = run
        self._idle.clear()
        try:
            slots = self._acceptance.accept(run)
        except BaseException:
            self._remove(run)
            raise
        for event in (run.begun, *events_of(run.earlier.steps)):
            run.log.append(event)
        self.bus.publish(run.id, run.log, run.fence)
        return run, slots

    def prepare(self, request: RunRequest) -> Run:
        """A run that was accepted before, to be adopted. Raises UnknownAgent and InvalidRequest."""
        plan = self._tasks.plan(request, self._agent(request))
        return self._new(request, plan)

    def adopt(self, run: Run, accepted: AcceptedRun, earlier: Sequence[Event]) -> None:
        """Drive a run in the background that another worker had accepted. `earlier` are its events so far."""
        slots = self._acceptance.slots(run, accepted)
        self._active[run.id] = run
        self._idle.clear()
        for event in (run.begun, *earlier):
            run.log.append(event)
        self.bus.publish(run.id, run.log, run.fence)
        self._spawn(self._drive, run, slots)

    def drain(self, seconds: float) -> None:
        """Refuse new runs, wait `seconds` for the active ones to end, then stop those that are left.

        Other workers go on with those that wait in a queue, at once, and with those that are left, if their
        clients can come back for them.
        """
        self.draining = True
        if self._is_shared:
            hand_over([run for run in self.active if run.dequeued_at is None], self._store)
        if not self._idle.wait(seconds):
            hand_over(self.active, self._store)
            for run in self.active:
                run.abort(self._stopping())
            self._idle.wait(ABORT_SECONDS)

    def lose(self) -> None:
        """Others have declared this process dead: it stops its runs, whose ends are not stored."""
        stop_lost(self.active)

    def stop_overdue(self) -> None:
        """Abort the runs that have used up their time. To be called about once a second."""
        stop_overdue(self.active)

    def _admit(self, request: RunRequest) -> Run:
        if self.draining:
            raise self._stopping()
        settings = self._settings()
        if len(self._active) >= min(settings.gateway.max_runs, self.max_active - self.readers.count):
            raise Overloaded(
                "The gateway is at its limit of runs (gateway.http.maxRuns). Try again.",
                retry_after=FULL_RETRY_SECONDS,
            )
        agent = self._agent(request)
        if (other := self._active.get(request.run_id or "")) is not None:
            if request.key is not None:
                raise KeyInUse(other.id)
            raise IdempotencyKeyReused(f"A run with the id {other.shown_id!r} is going on.")
        plan = self._tasks.plan(request, agent)
        return self._new(request, plan)

    def _new(self, request: RunRequest, plan: RunPlan) -> Run:
        run = Run(request, plan, Answer(self._settings().limits.answer_bytes))
        run.is_followed_elsewhere = self.is_followed_elsewhere
        return run

    def _agent(self, request: RunRequest) -> AgentSettings:
        agent = self._settings().agent(request.route.agent_id)
        if agent is None:
            raise UnknownAgent(f"Unknown agent {request.route.agent_id!r}.")
        return agent

    def _drive(self, run: Run, slots: RunSlots) -> None:
        log_start(run)
        # A fault in `drive` itself must not leave followers waiting for ever.
        end: RunFinished | RunFailed = RunFailed.of(InternalError("The gateway failed on this request."))
        try:
            end = drive(run, slots, self._tasks.build)
        finally:
            run.ended_at = time.monotonic()
            self.ledger.add(run, end)  # first: a follower that sees the end may ask for it
            run.log.append(end)
            log_end(run)
            self._remove(run)
            self.bus.close(run.id)
            run.clean_up()
            self._observe(run)

    def _remove(self, run: Run) -> None:
        self._active.pop(run.id, None)
        if not self._active:
            self._idle.set()

    def _stopping(self) -> Draining:
        return Draining("The gateway is stopping. Try again.", retry_after=DRAIN_RETRY_SECONDS)
