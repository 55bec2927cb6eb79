"""The only door to an agent: every transport builds a `RunRequest` and calls `RunService.start`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from app.config.settings import Settings
from app.errors import (
    Draining,
    IdempotencyKeyReused,
    InternalError,
    Overloaded,
    UnknownAgent,
    UpstreamTimeout,
)
from app.events.types import RunFailed, RunStarted
from app.runs.drive import RunSlots, drive, new_messages
from app.runs.log_lines import log_start
from app.runs.request import RunRequest
from app.runs.run import Run
from app.runs.tasks import TaskBuilder
from app.sessions.base import RunStore
from app.sessions.lanes import Lanes

DRAIN_RETRY_SECONDS = 5.0
FULL_RETRY_SECONDS = 1.0
ABORT_SECONDS = 2.0

Spawn = Callable[..., object]


class RunService:
    """Starts runs, knows the active ones, and stops them.

    `settings` gives the present settings; a run keeps those it was started with. `lanes` are the sessions'
    queues, `slots` the agents'. `observe` is called with each run that has ended.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        tasks: TaskBuilder,
        store: RunStore,
        lanes: Lanes,
        spawn: Spawn,
        observe: Callable[[Run], object],
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._store = store
        self._lanes = lanes
        self._slots = Lanes(cap=1_000_000)  # `max_runs` bounds it
        self._spawn = spawn
        self._observe = observe
        self._active: dict[str, Run] = {}
        self._idle = threading.Event()
        self._idle.set()
        self.draining = False
        # Called with each run that starts, before anything happens in it; they must not wait.
        self.listeners: list[Callable[[Run], object]] = []

    @property
    def active(self) -> Sequence[Run]:
        return list(self._active.values())

    def get(self, run_id: str) -> Run | None:
        return self._active.get(run_id)

    def start(self, request: RunRequest) -> Run:
        """Accept a run and let it go. All that can be refused is refused here, before any output.

        From here on a stored session has the user's turn, whatever becomes of the process. Raises
        Draining, Overloaded, UnknownAgent, InvalidRequest (unknown model), SessionBusy, StorageUnavailable
        and IdempotencyKeyReused (a `run_id` that a run has or had).
        """
        run, place = self._begin(request)
        self._spawn(self._drive, run, place)
        return run

    def complete(self, request: RunRequest, watch: Callable[[Run], AbstractContextManager[object]]) -> Run:
        """The same run, at its end: for a caller who waits for nothing else, and spares a greenlet so.

        `watch` is handed the run before it is driven, and is held while it goes on. Raises what `start` does.
        """
        run, place = self._begin(request)
        try:
            with watch(run):
                self._drive(run, place)
        finally:
            if not run.ended:  # the watch itself has failed
                run.abort(InternalError("The gateway failed on this request."))
                self._drive(run, place)
        return run

    def _begin(self, request: RunRequest) -> tuple[Run, RunSlots]:
        run = self._admit(request)
        self._active[run.id] = run
        self._idle.clear()
        try:
            place = self._accept(run)
        except BaseException:
            self._forget(run)
            raise
        run.log.append(RunStarted(run.id, run.agent.id, run.session_key, run.started_at))
        for listen in self.listeners:
            listen(run)
        return run, place

    def drain(self, seconds: float) -> None:
        """Refuse new runs, let the active ones end for `seconds`, then stop what is left."""
        self.draining = True
        if not self._idle.wait(seconds):
            for run in self.active:
                run.abort(self._stopping())
            self._idle.wait(ABORT_SECONDS)

    def stop_overdue(self) -> None:
        """Abort the runs that have used up their agent's time. Called about once a second."""
        now = time.monotonic()
        for run in self.active:
            limit = run.timeout_seconds
            if run.dequeued_at is not None and now - run.dequeued_at > limit:
                run.abort(UpstreamTimeout(f"The run did not end within {limit:g} s and was stopped."))

    def _admit(self, request: RunRequest) -> Run:
        if self.draining:
            raise self._stopping()
        settings = self._settings()
        if len(self._active) >= settings.gateway.max_runs:
            raise Overloaded(
                "The gateway is at its limit of runs (gateway.http.maxRuns). Try again.",
                retry_after=FULL_RETRY_SECONDS,
            )
        agent = settings.agent(request.route.agent_id)
        if agent is None:
            raise UnknownAgent(f"Unknown agent {request.route.agent_id!r}.")
        if request.run_id in self._active:
            raise IdempotencyKeyReused(f"A run with the id {request.run_id!r} is going on.")
        self._tasks.check(request, agent)
        return Run(request, agent)

    def _accept(self, run: Run) -> RunSlots:
        """Take the run's place in its session's queue, and store what its caller says."""
        request = run.request
        if request.route.stateless:
            return RunSlots(None, None, self._slots)
        ticket = self._lanes.join(run.session_key)
        try:
            self._store.accept(
                run.id,
                run.session_key,
                run.agent.id,
                request.route.label,
                request.source,
                new_messages(request.messages),
            )
        except BaseException:
            ticket.leave()
            raise
        return RunSlots(ticket, self._store, self._slots)

    def _drive(self, run: Run, place: RunSlots) -> None:
        log_start(run)
        try:
            drive(run, place, self._tasks.build)
        finally:
            if not run.ended:  # a fault in drive itself must not leave followers waiting for ever
                run.log.append(RunFailed(InternalError("The gateway failed on this request.")))
            self._forget(run)
            self._observe(run)

    def _forget(self, run: Run) -> None:
        self._active.pop(run.id, None)
        if not self._active:
            self._idle.set()

    def _stopping(self) -> Draining:
        return Draining("The gateway is stopping. Try again.", retry_after=DRAIN_RETRY_SECONDS)
