"""The tools there are, and those that a run may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.errors import NoToolsAllowed
from app.messages import ToolSpec
from app.tools.base import Tool
from app.tools.catalogue import SECTION_OF
from app.tools.policy import PolicyStep, ToolRules

MAX_TOOLBOXES = 256
_PLACES = {name: place for place, name in enumerate(SECTION_OF)}


class Selection(msgspec.Struct, frozen=True):
    """Whose tools: all that decides which ones a run has, besides the settings.

    `surface` is where the run was asked for; `model` the `provider/model` that is to answer.
    """

    agent_id: str
    model: str | None = None
    surface: str = ""
    spawn_depth: int = 0


class Toolbox(msgspec.Struct, frozen=True):
    """The tools of a run by name, in the order in which the model sees them.

    `absent` are the tools that exist and are not among them, each with the reason; `allowed` are the entries
    of the policies' `allow` lists.
    """

    tools: Mapping[str, Tool]
    absent: Mapping[str, str]
    specs: tuple[ToolSpec, ...]
    allowed: tuple[str, ...] = ()


class ToolSource(Protocol):
    """Where further tools come from while the gateway runs."""

    revision: int  # another number whenever its tools have changed

    def tools(self, agent_id: str, allows: Callable[[str], bool]) -> Sequence[Tool]:
        """The agent's tools that `allows` lets pass. May wait, for a server that has to be started first."""


class ToolRegistry:
    """`settings` gives the present settings. Toolboxes are made once for each selection and settings."""

    def __init__(self, settings: Callable[[], Settings], sources: Sequence[ToolSource] = ()) -> None:
        self._settings = settings
        self._builtin: list[Tool] = []
        self._sources = sources
        self._boxes: dict[Selection, Toolbox] = {}
        self._settings_then: Settings | None = None
        self._revisions_then: list[int] = []

    def add(self, *tools: Tool) -> None:
        """Add built-in tools; to be called before the first run. Models see them in the catalogue's order."""
        self._builtin = sorted((*self._builtin, *tools), key=_place)

    @property
    def builtin(self) -> Sequence[Tool]:
        """The built-in tools, whoever may use them."""
        return self._builtin

    def select(self, selection: Selection) -> Toolbox:
        """The tools that the selection has with the present settings. May wait for a tool server."""
        self._forget_old()
        box = self._boxes.get(selection)
        if box is None:
            box = self._build(selection)
            if len(self._boxes) >= MAX_TOOLBOXES:
                self._boxes.clear()
            self._boxes[selection] = box
        return box

    def find(self, selection: Selection, name: str) -> Tool | None:
        """The tool of that name, if the selection has it now."""
        return self.select(selection).tools.get(name)

    def check(self, selection: Selection) -> Toolbox:
        """`select`. Raises NoToolsAllowed if a non-empty `allow` leaves nothing."""
        box = self.select(selection)
        if not box.tools and box.allowed:
            raise NoToolsAllowed(
                f"No tool is left of those that are allowed: {', '.join(box.allowed)}. Check the spelling, "
                "and which of them the policies deny (`python -m app agent --explain`)."
            )
        return box

    def rules(self, selection: Selection) -> ToolRules:
        settings = self._settings()
        agent = settings.agent(selection.agent_id) or settings.default_agent
        return ToolRules(
            settings.tools,
            agent.tools,
            agent_id=agent.id,
            model=selection.model,
            surface=_surface(selection.surface, settings),
            spawn_depth=selection.spawn_depth,
            max_spawn_depth=agent.subagents.max_spawn_depth,
        )

    def _forget_old(self) -> None:
        settings, revisions = self._settings(), [source.revision for source in self._sources]
        if settings is not self._settings_then or revisions != self._revisions_then:
            self._boxes.clear()
            self._settings_then, self._revisions_then = settings, revisions

    def _build(self, selection: Selection) -> Toolbox:
        settings, rules = self._settings(), self.rules(selection)
        agent: AgentSettings = settings.agent(selection.agent_id) or settings.default_agent
        tools: dict[str, Tool] = {}
        absent: dict[str, str] = {}
        for tool in self._builtin:
            why = rules.why_not(tool.name) or tool.absence(agent, settings)
            if why is None:
                tools[tool.name] = tool
            else:
                absent[tool.name] = why
        for source in self._sources:
            for tool in source.tools(agent.id, rules.allows):
                tools.setdefault(tool.name, tool)
        specs = tuple(tool.spec for tool in tools.values())
        return Toolbox(tools, absent, specs, tuple(rules.allowed_names))


def _place(tool: Tool) -> int:
    return _PLACES.get(tool.name, len(_PLACES))


def _surface(name: str, settings: Settings) -> PolicyStep | None:
    """The policy of the endpoint that a run was asked for at, which can only narrow."""
    if name != "http":
        return None
    return PolicyStep("gateway.http.endpoints.chatCompletions.tools", settings.gateway.chat_completions.tools)
