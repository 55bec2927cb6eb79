"""A run service on a real store in a folder of the test's own, with a provider in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from app.concurrency.background import spawn
from app.config.agent_settings import AgentSettings, SystemPromptSettings
from app.config.settings import GatewaySettings, ProviderSettings, Settings
from app.events.bus import MemoryBus
from app.events.types import Event
from app.messages import Message
from app.providers.registry import ProviderRegistry
from app.routing.resolve import Route
from app.runs.ledger import RunLedger
from app.runs.plan import RunPlan
from app.runs.request import RunRequest
from app.runs.run import Run
from app.runs.service import RunService
from app.runs.tasks import TaskBuilder
from app.sessions.base import SessionStore
from app.sessions.lanes import Lanes
from app.sessions.store import SqlSessionStore
from app.storage.sqlite.database import SqliteDatabase
from app.storage.sqlite.worker_lock import WorkerLock
from app.tools.registry import Selection, Toolbox, ToolRegistry
from tests.unit.agents.fake_provider import FakeProvider, says

MAIN = AgentSettings("main", default=True, model="fake/m", system_prompt=SystemPromptSettings(mode="replace"))


def route(key: str | None, agent: str = "main") -> Route:
    """A stored session of that name, or a stateless one."""
    if key is None:
        return Route(agent, f"agent:{agent}:openai:once", "new")
    return Route(agent, f"agent:{agent}:{key}", "key")


def request(text: str = "hi", key: str | None = None, **more: Any) -> RunRequest:
    agent = more.pop("agent", "main")
    messages = more.pop("messages", (Message("user", text),))
    return RunRequest(route(key, agent), messages, "http", **more)


def plan() -> RunPlan:
    """Of a run without a model or tools."""
    settings = Settings(Path("/nowhere"), agents=(MAIN,))
    return RunPlan(settings, MAIN, (), Selection("main"), Toolbox({}, {}, ()), False, False)


@dataclass
class Desk:
    """The service, and everything around it that a test may want to turn or see."""

    settings: Settings
    provider: FakeProvider
    store: SessionStore
    lanes: Lanes
    runs: RunService = field(init=False)
    tools: ToolRegistry = field(init=False)
    ended: list[Run] = field(default_factory=list)
    failed_calls: list[str] = field(default_factory=list)
    spawn: Callable[..., object] = spawn

    def open(self) -> Desk:
        providers = ProviderRegistry(
            {"fake": ProviderSettings("fake")}, {"openai-completions": lambda _: self.provider}, False
        )
        self.tools = ToolRegistry(lambda: self.settings)
        tasks = TaskBuilder(
            lambda: self.settings,
            providers,
            self.tools,
            lambda candidate, _: self.failed_calls.append(candidate.name),
        )
        self.runs = RunService(
            lambda: self.settings,
            tasks,
            self.store.runs,
            self.lanes,
            MemoryBus(),
            RunLedger(max_runs=100, keep_seconds=60.0),
            self._spawn,
            self.ended.append,
        )
        return self

    def _spawn(self, *work: Any) -> object:
        return self.spawn(*work)

    def set_agent(self, **changes: Any) -> None:
        self.settings = replace(self.settings, agents=(replace(MAIN, **changes),))

    def start(self, text: str = "hi", key: str | None = None, **more: Any) -> Run:
        return self.runs.start(request(text, key, **more))

    def said(self, key: str) -> list[tuple[str, str, str]]:
        """What the store has: role, text and mark of each message."""
        return [
            (one.message.role, one.message.text, one.state)
            for one in self.store.transcripts.messages(f"agent:main:{key}")
        ]

    def shown(self, number: int = -1) -> list[tuple[str, str]]:
        """What one call showed the model."""
        return [(one.role, one.text) for one in self.provider.calls[number].messages]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = SqliteDatabase(f"sqlite:///{tmp_path / 'sessions.db'}")
    settings = Settings(tmp_path, agents=(MAIN,), gateway=GatewaySettings())
    provider = FakeProvider(standing=says("Hel", "lo"))
    desk = Desk(settings, provider, SqlSessionStore(database, WorkerLock(tmp_path)), Lanes()).open()
    yield desk
    desk.runs.drain(0)
    database.close()


def kinds(run: Run) -> list[str]:
    return [type(event).__name__ for event in events(run)]


def events(run: Run) -> Sequence[Event]:
    return [event for batch in run.follow() for event in batch]
