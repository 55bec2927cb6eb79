"""Builds the agents of the settings: from both forms of the file, merged with the defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config.agent_settings import AgentIdentity, AgentSettings
from app.config.build.tools import build_tools
from app.config.source.problems import KeyPath, Problems
from app.config.tool_settings import SubagentSettings

_MERGED_BY_KEY = ("params", "tools", "identity", "subagents")


@dataclass(frozen=True, slots=True)
class _Entry:
    path: KeyPath
    id: str
    given: Mapping[str, Any]


@dataclass(slots=True)
class AgentBuilder:
    """`section` is the loaded `agents`, `tools` the loaded `tools`; `expand` makes a path absolute."""

    section: Mapping[str, Any]
    tools: Mapping[str, Any]
    state_dir: Path
    expand: Callable[[str], Path]
    problems: Problems

    def build(self) -> tuple[AgentSettings, ...]:
        """At least one agent, exactly one of them the default; mistakes are added to `problems`."""
        entries = self._entries() or [_Entry(("agents", "defaults"), "main", {})]
        default_id = self._default_id(entries)
        return tuple(self._agent(entry, default_id) for entry in entries)

    def paths_of_models(self) -> list[tuple[KeyPath, str]]:
        """Each model that the file names for an agent, with the path of its key."""
        defaults = _Entry(("agents", "defaults"), "", self.section.get("defaults", {}))
        found: list[tuple[KeyPath, str]] = []
        for entry in (defaults, *self._entries()):
            model = entry.given.get("model", {})
            names = [name for name in (model.get("primary"), *model.get("fallbacks", ())) if name]
            found += [((*entry.path, "model"), name) for name in names]
        return found

    def _entries(self) -> list[_Entry]:
        entries: dict[str, _Entry] = {}
        for index, given in enumerate(self.section.get("list", ())):
            self._add(entries, _Entry(("agents", "list", index), given["id"], given))
        for key, given in self.section.get("entries", {}).items():
            entry = _Entry(("agents", "entries", key), key, given)
            if given.get("id", key) != key:
                self.problems.add((*entry.path, "id"), f"must be the key of the entry, `{key}`")
            self._add(entries, entry)
        return list(entries.values())

    def _add(self, entries: dict[str, _Entry], entry: _Entry) -> None:
        if entry.id in entries:
            self.problems.add((*entry.path, "id"), f"there is another agent `{entry.id}`")
        else:
            entries[entry.id] = entry

    def _default_id(self, entries: list[_Entry]) -> str:
        marked = [entry for entry in entries if entry.given.get("default")]
        for entry in marked[1:]:
            what = f"`{marked[0].id}` is marked as the default too; mark one agent only"
            self.problems.add((*entry.path, "default"), what)
        ids = [entry.id for entry in entries]
        return marked[0].id if marked else "main" if "main" in ids else ids[0]

    def _agent(self, entry: _Entry, default_id: str) -> AgentSettings:
        given = merge_defaults(self.section.get("defaults", {}), entry.given)
        model = given.pop("model", {})
        is_default = entry.id == default_id
        given.update(
            id=entry.id,
            default=is_default,
            identity=AgentIdentity(**given.get("identity", {})),
            workspace=self._workspace(entry, given, is_default),
            model=model.get("primary"),
            fallbacks=tuple(model.get("fallbacks", ())),
            tools=build_tools(self.tools, given.get("tools", {})),
            subagents=SubagentSettings(**given.get("subagents", {})),
        )
        return AgentSettings(**given)

    def _workspace(self, entry: _Entry, given: Mapping[str, Any], is_default: bool) -> Path:
        if "workspace" in entry.given or (is_default and "workspace" in given):
            return self.expand(given["workspace"])
        if is_default:
            return self.state_dir / "workspace"
        # By default two agents never share a folder: one could read the files of the other.
        return self.state_dir / f"workspace-{entry.id}"


def merge_defaults(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """An agent's keys over those of `agents.defaults`.

    `params`, `tools`, `identity` and `subagents` merge key by key; one without a model of its own keeps the
    defaults' model and fallbacks.
    """
    merged = {**defaults, **given}
    for key in _MERGED_BY_KEY:
        if key in defaults and key in given:
            merged[key] = {**defaults[key], **given[key]}
    if "model" in defaults and "primary" not in given.get("model", {}):
        merged["model"] = {**defaults["model"], **given.get("model", {})}
    return merged
