"""The tools there are, and those that a run may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from app.cancel import Cancel
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
    is_complete: bool = True


class Offer(msgspec.Struct, frozen=True):
    """What a source has for an agent. `absent`: name or glob -> why there is no such tool. `is_complete`:
    nothing more is about to come.
    """

    tools: Sequence[Tool] = ()
    absent: Mapping[str, str] = msgspec.field(default_factory=dict)
    is_complete: bool = True


class ToolSource(Protocol):
    """Where further tools come from while the gateway runs."""

    @property
    def revision(self) -> int:
        """Another number whenever its tools have changed."""

    def tools(self, agent_id: str, rules: ToolRules, cancel: Cancel | None, *, wait: bool) -> Offer:
        """The agent's tools; of those whose servers `rules` deny as a whole, no server is started.

        With `wait`, waits a while for servers that have to be started first. Raises the error of `cancel`.
        """


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

    def select(self, selection: Selection, cancel: Cancel | None = None, *, wait: bool = True) -> Toolbox:
        """The tools that the selection has with the present settings.

        May wait for a tool server to start, unless it must not `wait`: then the server's tools may be missing
        (`is_complete`). Raises the error of `cancel`.
        """
        self._forget_old()
        box = self._boxes.get(selection)
        if box is None:
            settings, revisions = self._settings_then, self._revisions_then
            box = self._build(selection, cancel, wait)
            if box.is_complete and settings is self._settings() and revisions == self._revisions():
                if len(self._boxes) >= MAX_TOOLBOXES:
                    self._boxes.clear()
                self._boxes[selection] = box
        return box

    def find(self, selection: Selection, name: str, cancel: Cancel | None = None) -> Tool | None:
        """The tool of that name, if the selection has it now."""
        return self.select(selection, cancel).tools.get(name)

    def check(self, selection: Selection, cancel: Cancel | None = None) -> Toolbox:
        """`select`, without waiting unless there is a `cancel`.

        Raises NoToolsAllowed if a non-empty `allow` leaves nothing.
        """
        box = self.select(selection, cancel, wait=cancel is not None)
        if not box.tools and box.allowed and box.is_complete:
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
        settings, revisions = self._settings(), self._revisions()
        if settings is not self._settings_then or revisions != self._revisions_then:
            self._boxes.clear()
            self._settings_then, self._revisions_then = settings, revisions

    def _revisions(self) -> list[int]:
        return [source.revision for source in self._sources]

    def _build(self, selection: Selection, cancel: Cancel | None, wait: bool) -> Toolbox:
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
        is_complete = True
        for source in self._sources:
            offer = source.tools(agent.id, rules, cancel, wait=wait)
            absent.update(offer.absent)
            is_complete = is_complete and offer.is_complete
            for tool in offer.tools:
                if (why := rules.why_not(tool.name)) is None:
                    tools.setdefault(tool.name, tool)
                else:
                    absent[tool.name] = why
        specs = tuple(tool.spec for tool in tools.values())
        return Toolbox(tools, absent, specs, tuple(rules.allowed_names), is_complete)


def _place(tool: Tool) -> int:
    return _PLACES.get(tool.name, len(_PLACES))


def _surface(name: str, settings: Settings) -> PolicyStep | None:
    """The policy of the endpoint that a run was asked for at, which can only narrow."""
    if name != "http":
        return None
    return PolicyStep("gateway.http.endpoints.chatCompletions.tools", settings.gateway.chat_completions.tools)
