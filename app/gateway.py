"""What transports see of the gateway: its parts, and the beginning and the end of its work.

`app.bootstrap` puts it together. Nothing here knows which database, which providers or which files there are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.auth.authenticate import AttemptCounter
from app.cluster.ask import Workers
from app.concurrency.background import spawn
from app.config.edit import ConfigFile
from app.config.settings import Settings
from app.control.approvals import Approvals
from app.control.commands import Commands
from app.control.logs import Logs
from app.control.models import Models
from app.control.runs import AllRuns
from app.control.session_copies import SessionCopier
from app.control.session_views import SessionViews
from app.control.sessions import Sessions
from app.control.status import Status
from app.control.tools import ToolCalls
from app.logs.lines import log_event
from app.metrics import Metrics
from app.runs.intake import Intake
from app.runs.once import Once
from app.runs.repeats import Repeats
from app.runs.service import RunService
from app.sessions.base import SessionStore
from app.storage.base import Stop
from app.tools.build import Tools

logger = logging.getLogger("app.gateway")


class CurrentConfig(Protocol):
    """Where the settings in force come from."""

    settings: Settings

    def check(self) -> bool:
        """Read changed files now instead of at the next turn. True if other settings are in force."""

    def add_listener(self, listener: Callable[[Settings], None]) -> None:
        """Call `listener` with all settings that come into force from now on."""


class Resource(Protocol):
    """Something that is open, and has to be closed at the end."""

    def close(self) -> object: ...


@dataclass(kw_only=True, eq=False)
class Gateway:
    """The parts. A transport calls them, and shows what they return in its own shape.

    `background` are the loops that run until the given event is set; `resources` are closed in their order.
    """

    config: CurrentConfig
    config_file: ConfigFile
    intake: Intake
    runs: RunService
    all_runs: AllRuns
    take_over: Callable[[], int]  # goes on with the runs of dead workers
    store: SessionStore
    tools: Tools
    tool_calls: ToolCalls
    models: Models
    sessions: Sessions
    session_views: SessionViews
    session_copies: SessionCopier
    approvals: Approvals
    commands: Commands
    status: Status
    logs: Logs
    metrics: Metrics
    auth_limiter: AttemptCounter
    workers: Workers
    background: Sequence[Callable[[Stop], object]]
    resources: Sequence[Resource]

    # Callbacks of transports that have connections of their own. They must not wait.
    on_stopping: list[Callable[[], object]] = field(default_factory=list)  # before runs are drained
    on_drained: list[Callable[[], object]] = field(default_factory=list)  # after the last run has ended
    on_settings: list[Callable[[Settings], object]] = field(default_factory=list)
    repeats: Repeats = field(init=False)
    once: Once = field(init=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)

    def __post_init__(self) -> None:
        self.config.add_listener(self.settings_changed)
        self.repeats = Repeats(self.runs, self.store, self.all_runs.elsewhere, self.take_over)
        self.once = Once(self.store, self.take_over)

    @property
    def settings(self) -> Settings:
        """The settings in force now. A request that asks twice may get two."""
        return self.config.settings

    def settings_changed(self, settings: Settings) -> None:
        """To be called with settings that have just come into force."""
        for notify in self.on_settings:
            notify(settings)

    def start_background(self) -> None:
        """Keep log lines for operators from now on, and start `background`."""
        self.logs.ring.install()
        for note in self.settings.notes:
            log_event(logger, logging.INFO, "configuration", note=note)
        if self.status.storage_loss:
            log_event(logger, logging.WARNING, "sessions will be lost", why=self.status.storage_loss)
        if any(agent.model is None for agent in self.settings.agents):
            model, why = self.models.default()
            log_event(logger, logging.INFO, "default model", model=model, reason=why)
        for work in self.background:
            spawn(work, self._stopped)

    def drain(self, seconds: float) -> None:
        """Refuse new runs, let the active ones end for `seconds`, then abort the rest."""
        for notify in self.on_stopping:
            notify()
        self.runs.drain(seconds)
        for notify in self.on_drained:
            notify()

    def close(self) -> None:
        """Stop the background work and close everything. The gateway cannot be used after it."""
        self._stopped.set()
        self.logs.ring.remove()
        for resource in self.resources:
            resource.close()
