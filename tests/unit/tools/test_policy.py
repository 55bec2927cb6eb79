"""Which tools a run may use: a table for each rule of docs/tools.md#which-tools-an-agent-may-use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from app.config.tool_settings import SubagentToolsSettings, ToolPolicy, ToolSettings
from app.tools.catalogue import GROUPS, KNOWN_TOOLS, NOT_AT_FULL_DEPTH, NOT_FOR_SUBAGENTS, PROFILES
from app.tools.policy import PolicyStep, ToolRules

SOME = ("read", "write", "apply_patch", "exec", "web_fetch", "session_status", "ask_user", "github__search")
NOTHING = ToolSettings()


def allowed(for_all: ToolSettings = NOTHING, agent: ToolSettings = NOTHING, **more: Any) -> list[str]:
    """Those of SOME that may be used."""
    rules = ToolRules(for_all, agent, agent_id="main", **more)
    return [name for name in SOME if rules.allows(name)]


def without(*names: str) -> list[str]:
    return [name for name in SOME if name not in names]


def test_without_a_policy_every_tool_may_be_used():
    assert allowed() == [*SOME]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("minimal", ["session_status"]),
        ("coding", [*SOME]),
        ("messaging", ["session_status", "ask_user", "github__search"]),
        ("full", [*SOME]),
    ],
)
def test_profiles(profile: Any, expected: list[str]):
    assert allowed(ToolSettings(profile=profile)) == expected
    assert allowed(agent=ToolSettings(profile=profile)) == expected


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_the_catalogues(profile: Any):
    rules = ToolRules(ToolSettings(profile=profile), NOTHING)
    assert {name for name in KNOWN_TOOLS if rules.allows(name)} == PROFILES[profile]


def test_the_agents_profile_replaces_the_one_for_all():
    assert allowed(ToolSettings(profile="minimal"), ToolSettings(profile="coding")) == [*SOME]
    assert allowed(ToolSettings(profile="coding"), ToolSettings(profile="minimal")) == ["session_status"]


@pytest.mark.parametrize(
    ("entries", "denied"),
    [
        (["exec"], ["exec"]),
        (["EXEC", " Read "], ["exec", "read"]),
        (["bash"], ["exec"]),
        (["*"], [*SOME]),
        (["w*"], ["write", "web_fetch"]),
        (["*_*"], ["apply_patch", "web_fetch", "session_status", "ask_user", "github__search"]),
        (["group:fs"], ["read", "write", "apply_patch"]),
        (["GROUP:Runtime"], ["exec"]),
        (["bundle-mcp"], ["github__search"]),
        (["group:plugins"], ["github__search"]),
        (["github__*"], ["github__search"]),
        (["write"], ["write"]),  # and not apply_patch
        (["browser", "no_such_tool"], []),
        ([], []),
    ],
)
def test_what_is_denied(entries: Sequence[str], denied: list[str]):
    policy = ToolSettings(deny=tuple(entries))
    assert allowed(policy) == without(*denied)
    assert allowed(agent=policy) == without(*denied)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["read"], ["read"]),
        (["ReAd"], ["read"]),
        (["write"], ["write", "apply_patch"]),
        (["Write "], ["write", "apply_patch"]),
        (["group:fs"], ["read", "write", "apply_patch"]),
        (["bash"], ["exec"]),
        (["*"], [*SOME]),
        (["s*", "ask_?ser"], ["session_status", "ask_user"]),
        (["bundle-mcp"], ["github__search"]),
        (["browser"], []),
    ],
)
def test_an_allow_excludes_everything_else(entries: Sequence[str], expected: list[str]):
    policy = ToolSettings(allow=tuple(entries))
    assert allowed(policy) == expected
    assert allowed(agent=policy) == expected


def test_deny_wins_over_allow():
    assert allowed(ToolSettings(allow=("read", "exec"), deny=("exec",))) == ["read"]
    assert allowed(ToolSettings(allow=("exec",)), ToolSettings(deny=("EXEC",))) == []
    assert allowed(ToolSettings(deny=("exec",)), ToolSettings(allow=("exec", "read"))) == ["read"]


def test_a_later_policy_can_only_narrow():
    assert allowed(ToolSettings(allow=("read",)), ToolSettings(allow=("read", "exec"))) == ["read"]
    assert allowed(ToolSettings(allow=("read",)), ToolSettings(also_allow=("exec",))) == ["read"]
    assert allowed(ToolSettings(profile="minimal"), ToolSettings(allow=("read",))) == []


def test_also_allow_adds_to_the_profile():
    assert allowed(ToolSettings(profile="minimal", also_allow=("READ",))) == ["read", "session_status"]
    assert allowed(ToolSettings(profile="minimal"), ToolSettings(also_allow=("write",))) == [
        "write",
        "apply_patch",
        "session_status",
    ]
    assert allowed(ToolSettings(also_allow=("read",))) == [*SOME]  # there is no profile to add to
    assert allowed(ToolSettings(profile="minimal", also_allow=("exec",), deny=("exec",))) == [
        "session_status"
    ]


@pytest.mark.parametrize(
    ("model", "denied"),
    [
        ("small/one", ["exec", "read"]),  # the model's own, and not its provider's
        ("SMALL/ONE", ["exec", "read"]),
        ("small/two", ["write"]),
        ("big/one", []),
        (None, []),
    ],
)
def test_policies_for_a_provider_or_a_model(model: str | None, denied: list[str]):
    policies = {"small/one": ToolPolicy(deny=("exec", "read")), "Small": ToolPolicy(deny=("write",))}
    assert allowed(ToolSettings(by_provider=policies), model=model) == without(*denied)
    assert allowed(agent=ToolSettings(by_provider=policies), model=model) == without(*denied)


def test_a_profile_for_a_provider():
    policies = {"small": ToolPolicy(profile="minimal", also_allow=("read",))}
    by_provider = ToolSettings(by_provider=policies)
    assert allowed(by_provider, model="small/one") == ["read", "session_status"]
    assert allowed(by_provider, model="big/one") == [*SOME]
    agents = ToolSettings(by_provider={"small": ToolPolicy(profile="full")})
    assert allowed(by_provider, agents, model="small/one") == [*SOME]  # the agent's own comes first


def test_the_surface_narrows():
    surface = PolicyStep("gateway.http.endpoints.chatCompletions.tools", ToolPolicy(deny=("exec",)))
    assert allowed(surface=surface) == without("exec")
    wide = PolicyStep("gateway.http.endpoints.chatCompletions.tools", ToolPolicy(allow=("*",)))
    assert allowed(ToolSettings(deny=("exec",)), surface=wide) == without("exec")


def test_sub_agents_lack_some_tools_and_more_at_their_full_depth():
    rules = ToolRules(NOTHING, NOTHING, spawn_depth=1, max_spawn_depth=2)
    assert {name for name in KNOWN_TOOLS if not rules.allows(name)} == NOT_FOR_SUBAGENTS
    rules = ToolRules(NOTHING, NOTHING, spawn_depth=2, max_spawn_depth=2)
    assert {name for name in KNOWN_TOOLS if not rules.allows(name)} == NOT_FOR_SUBAGENTS | NOT_AT_FULL_DEPTH
    generous = ToolSettings(allow=("*",))
    assert "ask_user" not in allowed(generous, generous, spawn_depth=1, max_spawn_depth=5)
    own = ToolSettings(subagents=SubagentToolsSettings(tools=ToolPolicy(deny=("exec",))))
    assert allowed(agent=own, spawn_depth=1, max_spawn_depth=5) == without(
        "exec", "session_status", "ask_user"
    )
    assert allowed(agent=own) == [*SOME]


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_stands_for_its_tools(group: str):
    rules = ToolRules(ToolSettings(allow=(group,)), NOTHING)
    found = {name for name in KNOWN_TOOLS if rules.allows(name)}
    assert found - {"apply_patch"} == GROUPS[group] - {"apply_patch"}


@pytest.mark.parametrize(
    ("for_all", "agent", "name", "why"),
    [
        (ToolSettings(deny=("exec",)), NOTHING, "exec", "tools.deny"),
        (ToolSettings(allow=("read",)), NOTHING, "exec", "tools.allow"),
        (ToolSettings(profile="minimal"), NOTHING, "exec", "tools.profile (minimal)"),
        (NOTHING, ToolSettings(deny=("exec",)), "EXEC", "agents.main.tools.deny"),
        (
            ToolSettings(by_provider={"small": ToolPolicy(deny=("exec",))}),
            NOTHING,
            "exec",
            "tools.byProvider.small.deny",
        ),
    ],
)
def test_the_setting_that_keeps_a_tool_away_is_named(
    for_all: ToolSettings, agent: ToolSettings, name: str, why: str
):
    assert ToolRules(for_all, agent, agent_id="main", model="small/one").why_not(name) == why


@pytest.mark.parametrize(
    ("for_all", "agent", "why"),
    [
        (NOTHING, NOTHING, "no policy excludes it"),
        (ToolSettings(profile="coding"), NOTHING, "tools.profile (coding)"),
        (ToolSettings(profile="minimal", also_allow=("read",)), NOTHING, "alsoAllow"),
        (
            ToolSettings(allow=("group:fs",)),
            ToolSettings(allow=("read",)),
            "tools.allow, agents.main.tools.allow",
        ),
    ],
)
def test_the_settings_that_name_a_tool_are_told(for_all: ToolSettings, agent: ToolSettings, why: str):
    assert ToolRules(for_all, agent, agent_id="main").why("read") == why
