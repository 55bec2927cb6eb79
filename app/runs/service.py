"""The only door to an agent: every transport builds a `RunRequest` and calls `RunService.start`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from app.agents.loop import AgentTask
from app.agents.prompt import build_system_prompt
from app.agents.workspace import Workspace
from app.config.settings import AgentSettings, Settings
from app.errors import Draining, InternalError, UnknownAgent, UpstreamTimeout
from app.events.types import RunFailed, RunStarted
from app.logs import log_event
from app.messages import Message
from app.providers.base import ModelCall
from app.providers.registry import ProviderRegistry
from app.runs.drive import Place, drive, own_turn
from app.runs.request import RunRequest
from app.runs.run import Run
from app.sessions.lanes import Lanes
from app.sessions.store import SessionStore

logger = logging.getLogger("app.runs")

DRAIN_RETRY_SECONDS = 5.0

Spawn = Callable[..., object]


class RunService:
    """Starts runs, knows the active ones, and stops them.

    `settings` gives the present settings; a run keeps those it was started with.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        providers: ProviderRegistry,
        store: SessionStore,
        lanes: Lanes,
        spawn: Spawn,
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._store = store
        self._lanes = lanes
        self._spawn = spawn
        self._workspaces: dict[str, Workspace] = {}
        self._active: dict[str, Run] = {}
        self._idle = threading.Event()
        self._idle.set()
        self.draining = False

    @property
    def active(self) -> Sequence[Run]:
        return list(self._active.values())

    def get(self, run_id: str) -> Run | None:
        return self._active.get(run_id)

    def start(self, request: RunRequest) -> Run:
        """Accept a run and let it go. All that can be refused is refused here, before any output.

        From here on a stored session has the user's turn, whatever becomes of the process. Raises
        Draining, UnknownAgent, InvalidRequest (unknown model), SessionBusy, StorageUnavailable.
        """
        run = self._admit(request)
        place = None if request.route.stateless else self._accept(run)
        self._active[run.id] = run
        self._idle.clear()
        run.log.append(RunStarted(run.id, run.agent.id, run.session_key, run.started_at))
        self._spawn(self._drive, run, place)
        return run

    def drain(self, seconds: float) -> None:
        """Refuse new runs, let the active ones end for `seconds`, then stop what is left."""
        self.draining = True
        if not self._idle.wait(seconds):
            for run in self.active:
                run.abort(Draining("The gateway is stopping. Try again.", retry_after=DRAIN_RETRY_SECONDS))
            self._idle.wait(2.0)

    def stop_overdue(self) -> None:
        """Abort the runs that have used up their agent's time. Called about once a second."""
        now = time.monotonic()
        for run in self.active:
            if run.deadline is not None and now > run.deadline:
                limit = run.agent.timeout_seconds
                run.abort(UpstreamTimeout(f"The run did not end within {limit:g} s and was stopped."))

    def _admit(self, request: RunRequest) -> Run:
        if self.draining:
            raise Draining("The gateway is stopping. Try again.", retry_after=DRAIN_RETRY_SECONDS)
        agent = self._settings().agent(request.route.agent_id)
        if agent is None:
            raise UnknownAgent(f"Unknown agent {request.route.agent_id!r}.")
        self._providers.resolve(self._model_names(request, agent)[0])
        return Run(request, agent)

    def _accept(self, run: Run) -> Place:
        ticket = self._lanes.join(run.session_key)
        try:
            self._store_input(run)
        except BaseException:
            ticket.leave()
            raise
        return Place(ticket, self._store)

    def _store_input(self, run: Run) -> None:
        request = run.request
        self._store.accept(
            run.id,
            run.session_key,
            run.agent.id,
            request.route.label,
            request.source,
            own_turn(request.messages),
        )

    def _drive(self, run: Run, place: Place | None) -> None:
        log_event(
            logger,
            logging.INFO,
            "run started",
            run_id=run.id,
            agent=run.agent.id,
            session_key=run.session_key,
            source=run.request.source,
            request_id=run.request.request_id,
        )
        try:
            drive(run, place, self._build_task)
        finally:
            if not run.ended:  # a fault in drive itself must not leave followers waiting for ever
                run.log.append(RunFailed(InternalError("The gateway failed on this request.")))
            del self._active[run.id]
            if not self._active:
                self._idle.set()

    def _build_task(self, run: Run, messages: Sequence[Message]) -> AgentTask:
        request, agent = run.request, run.agent
        names = self._model_names(request, agent)
        system = build_system_prompt(agent.system_prompt, self._workspace_files(agent), request.instructions)
        first = (Message("system", system),) if system else ()
        call = ModelCall(
            model="",
            messages=(*first, *messages),
            params={**agent.params, **request.params},
            tools=request.tools,
            tool_choice=request.tool_choice,
            request_id=request.request_id,
        )
        return AgentTask([self._providers.resolve(name) for name in names], call)

    def _model_names(self, request: RunRequest, agent: AgentSettings) -> Sequence[str]:
        if request.model is not None:
            return [request.model]
        primary = agent.model or self._providers.default_model()[0]
        return [primary, *agent.fallbacks]

    def _workspace_files(self, agent: AgentSettings) -> list[tuple[str, str]]:
        if agent.workspace is None:
            return []
        key = str(agent.workspace)
        if key not in self._workspaces:
            self._workspaces[key] = Workspace(agent.workspace)
        return self._workspaces[key].files()
