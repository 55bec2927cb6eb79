"""The agents' system prompts, built when something in them has changed and not for each run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from app.agents.prompt import PromptFacts, build_own_prompt
from app.agents.surroundings import end_of_day, operating_system, zone_of
from app.agents.workspace import Workspace
from app.runs.plan import RunPlan
from app.tools.files.protected import protected_paths

CHECK_SECONDS = 0.5  # how often a workspace is checked for changes
MAX_PROMPTS = 256

Files = Sequence[tuple[str, str]]


class _Kept(msgspec.Struct, frozen=True):
    """A prompt, and what it was built from; the day it names ends at `until` (seconds since 1970)."""

    plan: RunPlan
    files: Files
    until: float
    prompt: str | None


class SystemPrompts:
    """`prompt` gives a run's system prompt, but for what its request adds."""

    def __init__(self) -> None:
        self._workspaces: dict[tuple[Path, bool], Workspace] = {}
        self._kept: dict[object, _Kept] = {}

    def prompt(self, plan: RunPlan) -> str | None:
        files, now = self._files(plan), time.time()
        kept = self._kept.get(plan.chosen)
        if kept is None or not kept.plan.has_same_prompt(plan) or kept.files != files or now >= kept.until:
            kept = _build(plan, files, now)
            if len(self._kept) >= MAX_PROMPTS:
                self._kept.clear()
            self._kept[plan.chosen] = kept
        return kept.prompt

    def _files(self, plan: RunPlan) -> Files:
        agent = plan.agent
        if agent.workspace is None:
            return ()
        key = (agent.workspace, not agent.tools.fs.workspace_only)
        if (workspace := self._workspaces.get(key)) is None:
            folder, follows_links = key
            workspace = self._workspaces[key] = Workspace(folder, CHECK_SECONDS, follows_links=follows_links)
        return workspace.files(lambda: protected_paths(plan.settings))


def _build(plan: RunPlan, files: Files, now: float) -> _Kept:
    zone = zone_of(plan.agent)
    local_now = datetime.fromtimestamp(now, zone)
    facts = PromptFacts(
        agent=plan.agent,
        tools=tuple(plan.toolbox.tools.values()) if plan.offers_tools else (),
        files=files,
        now=local_now,
        zone=zone.key,
        model=plan.candidates[0].name,
        system=operating_system(),
        is_small=plan.is_small,
    )
    return _Kept(plan, files, end_of_day(local_now), build_own_prompt(facts))
