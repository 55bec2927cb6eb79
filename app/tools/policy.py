"""Which tools a run may use (docs/tools.md#which-tools-an-agent-may-use). Pure.

Policies apply one after the other, and each can only narrow what the ones before it left:

1. the profile: the agent's own, else the one for all
2. `byProvider` of that: the profile for the model that answers
3. `tools`: `allow`, `alsoAllow`, `deny`        4. its `byProvider`
5. the agent's `tools`                          6. its `byProvider`
7. the surface, such as `gateway.http.endpoints.chatCompletions.tools`
8. sub-agents: `tools.subagents.tools`, and what they never have

In each, `deny` wins, and an `allow` that is not empty excludes everything else. `alsoAllow` adds to the
profile of its own policy. Names are compared without regard to case, may be globs, and `group:fs` stands for
all tools of a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from app.config.tool_settings import ToolPolicy, ToolSettings
from app.tools.catalogue import (
    ALIASES,
    GROUPS,
    MCP_GROUPS,
    MCP_PROFILES,
    NOT_AT_FULL_DEPTH,
    NOT_FOR_SUBAGENTS,
    PROFILES,
    is_mcp,
)

NO_POLICY = ToolPolicy()
_ANY_REST = "\x7f" * 40  # stands for the rest of a name: only a glob for all of them matches it


class PolicyStep(NamedTuple):
    """One policy, and the setting it stands in, for whoever asks why a tool is missing."""

    where: str
    policy: ToolPolicy


class ToolRules:
    """The policies of one run, in order. `model` is the `provider/model` that answers first, if known."""

    def __init__(
        self,
        for_all: ToolSettings,
        agent: ToolSettings,
        *,
        agent_id: str = "",
        model: str | None = None,
        surface: PolicyStep | None = None,
        spawn_depth: int = 0,
        max_spawn_depth: int = 0,
    ) -> None:
        own = f"agents.{agent_id}.tools"
        steps = [
            *_profiles(for_all, agent, own, model),
            PolicyStep("tools", _without_profile(for_all.policy)),
            *_by_provider("tools", for_all.by_provider, model),
            PolicyStep(own, _without_profile(agent.policy)),
            *_by_provider(own, agent.by_provider, model),
        ]
        if surface is not None:
            steps.append(surface)
        if spawn_depth:
            steps.append(PolicyStep("tools.subagents.tools", agent.subagents.tools))
            never = NOT_FOR_SUBAGENTS | (NOT_AT_FULL_DEPTH if spawn_depth >= max_spawn_depth else frozenset())
            steps.append(PolicyStep("sub-agents", ToolPolicy(deny=tuple(sorted(never)))))
        self._steps = [_Compiled(step) for step in steps if step.policy != NO_POLICY]

    def why_not(self, name: str) -> str | None:
        """The setting that keeps the tool away; None if it may be used."""
        lowered = name.lower()
        for step in self._steps:
            if (why := step.why_not(lowered)) is not None:
                return why
        return None

    def why(self, name: str) -> str:
        """The settings that name a tool which may be used, or its group."""
        lowered = name.lower()
        naming = [where for step in self._steps if (where := step.why(lowered)) is not None]
        return ", ".join(naming) or "no policy excludes it"

    def allows(self, name: str) -> bool:
        return self.why_not(name) is None

    def why_none(self, start: str) -> str | None:
        """The setting that keeps away all tools whose names begin so; None if some may be used."""
        lowered = start.lower()
        for step in self._steps:
            if (why := step.why_none(lowered)) is not None:
                return why
        return None

    @property
    def allowed_names(self) -> Sequence[str]:
        """All entries of the `allow` lists, to be named when nothing is left of them."""
        return [entry for step in self._steps for entry in step.policy.allow]


class _Compiled:
    def __init__(self, step: PolicyStep) -> None:
        self.where, self.policy = step
        self._deny = Names(self.policy.deny)
        self._allow = Names(_with_patches(self.policy.allow)) if self.policy.allow else None
        self._also = Names(_with_patches(self.policy.also_allow))
        self._profile = self.policy.profile

    def why_not(self, name: str) -> str | None:
        if self._deny.have(name):
            return f"{self.where}.deny"
        if self._allow is not None and not self._allow.have(name):
            return f"{self.where}.allow"
        if self._profile and not (in_profile(self._profile, name) or self._also.have(name)):
            return f"{self.where}.profile ({self._profile})"
        return None

    def why_none(self, start: str) -> str | None:
        if self._deny.have(f"{start}{_ANY_REST}"):
            return f"{self.where}.deny"
        if self._allow is not None and not self._allow.may_have(start):
            return f"{self.where}.allow"
        if self._profile and not (
            in_profile(self._profile, f"{start}{_ANY_REST}") or self._also.may_have(start)
        ):
            return f"{self.where}.profile ({self._profile})"
        return None

    def why(self, name: str) -> str | None:
        """The list that names a tool which this policy lets pass."""
        if self._allow is not None and self._allow.have(name):
            return f"{self.where}.allow"
        if self._profile and in_profile(self._profile, name):
            return f"{self.where}.profile ({self._profile})"
        return "alsoAllow" if self._profile and self._also.have(name) else None


class Names:
    """The entries of one list of a policy: names, globs, groups. `have` takes a name in lower case."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._globs: list[str] = []
        self._mcp = False
        for entry in entries:
            lowered = entry.strip().lower()
            lowered = ALIASES.get(lowered, lowered)
            if lowered in MCP_GROUPS:
                self._mcp = True
            elif lowered in GROUPS:
                self._names |= GROUPS[lowered]
            elif any(sign in lowered for sign in "*?["):
                self._globs.append(lowered)
            else:
                self._names.add(lowered)

    def have(self, name: str) -> bool:
        return (
            name in self._names
            or (self._mcp and is_mcp(name))
            or any(fnmatchcase(name, glob) for glob in self._globs)
        )

    def may_have(self, start: str) -> bool:
        """Whether a name that begins so can be among them."""
        literal = (glob.split("*")[0].split("?")[0].split("[")[0] for glob in self._globs)
        return (
            (self._mcp and is_mcp(start))
            or any(name.startswith(start) for name in self._names)
            or any(start.startswith(head) or head.startswith(start) for head in literal)
        )


def in_profile(profile: str, name: str) -> bool:
    """Whether the profile has the tool. `name` is in lower case."""
    if profile == "full":
        return True
    return profile in MCP_PROFILES if is_mcp(name) else name in PROFILES[profile]


def _with_patches(entries: Sequence[str]) -> Sequence[str]:
    """Who may `write` may also `apply_patch`."""
    return (*entries, "apply_patch") if "write" in {entry.strip().lower() for entry in entries} else entries


def _profiles(
    for_all: ToolSettings, agent: ToolSettings, own: str, model: str | None
) -> Iterator[PolicyStep]:
    """The profile in force, with what its policy and the agent's allow besides, and that of the model."""
    where, policy = (own, agent.policy) if agent.profile else ("tools", for_all.policy)
    if policy.profile:
        also = tuple(dict.fromkeys((*for_all.also_allow, *agent.also_allow)))
        yield PolicyStep(where, ToolPolicy(profile=policy.profile, also_allow=also))
    for place, policies in ((own, agent.by_provider), ("tools", for_all.by_provider)):
        for step in _by_provider(place, policies, model, whole=True):
            if step.policy.profile:
                yield PolicyStep(
                    step.where, ToolPolicy(profile=step.policy.profile, also_allow=step.policy.also_allow)
                )
                return


def _by_provider(
    where: str, policies: Mapping[str, ToolPolicy], model: str | None, *, whole: bool = False
) -> Iterator[PolicyStep]:
    """The policy for the model, else for its provider."""
    if not policies or model is None:
        return
    lowered = {name.lower(): policy for name, policy in policies.items()}
    for name in (model.lower(), model.lower().partition("/")[0]):
        if name in lowered:
            policy = lowered[name]
            step = f"{where}.byProvider.{name}"
            yield PolicyStep(step, policy if whole else _without_profile(policy))
            return


def _without_profile(policy: ToolPolicy) -> ToolPolicy:
    """The policy's lists. What `alsoAllow` adds, it adds to the profile, which has a step of its own."""
    return ToolPolicy(allow=policy.allow, deny=policy.deny)
