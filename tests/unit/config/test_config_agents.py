from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.config.agent_settings import AgentIdentity, AgentSettings, SystemPromptSettings
from app.config.tool_settings import ToolSettings

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator


def agents(operator: Operator, text: str, **environ: str) -> tuple[AgentSettings, ...]:
    return operator.load("{agents: " + text + "}", **environ).agents


def test_without_agents_there_is_main(operator: Operator):
    settings = operator.load("{}")
    workspace = operator.home / ".openclaw" / "workspace"
    assert settings.agents == (AgentSettings(id="main", default=True, workspace=workspace),)
    assert settings.default_agent.model is None


def test_main_has_the_defaults_of_the_file(operator: Operator):
    [main] = agents(operator, "{defaults: {systemPrompt: 'Hi', workspace: '~/w'}}")
    assert (main.id, main.default, main.system_prompt, main.workspace) == (
        "main",
        True,
        SystemPromptSettings("Hi"),
        operator.home / "w",
    )


def test_every_key_of_an_agent(operator: Operator):
    [agent] = agents(
        operator,
        """{list: [{id: 'Ann', name: 'Ann', identity: {name: 'A', emoji: '🦞', avatar: 'a.png', theme: 'x'},
            workspace: '/w', model: {primary: 'builtin/echo', fallbacks: ['local/x']}, systemPrompt: 'Hi',
            params: {temperature: 1}, tools: {profile: 'coding', deny: ['exec']}, timeoutSeconds: 1.5,
            maxTurns: 3, maxConcurrent: 2}]}""",
    )
    assert agent == AgentSettings(
        id="ann",
        default=True,
        name="Ann",
        identity=AgentIdentity("A", "🦞", "a.png"),
        workspace=Path("/w"),
        model="builtin/echo",
        fallbacks=("local/x",),
        system_prompt=SystemPromptSettings("Hi"),
        params={"temperature": 1.0},
        tools=ToolSettings(profile="coding", deny=("exec",)),
        timeout_seconds=1.5,
        max_turns=3,
        max_concurrent=2,
    )


def test_the_keyed_form_is_the_same(operator: Operator):
    listed = agents(operator, "{list: [{id: 'a', name: 'A'}, {id: 'b', default: true}]}")
    keyed = agents(operator, "{entries: {A: {name: 'A'}, b: {id: 'b', default: true}}}")
    assert keyed == listed


def test_both_forms_together_are_one_set(operator: Operator):
    found = agents(operator, "{list: [{id: 'a'}], entries: {b: {}}}")
    assert [agent.id for agent in found] == ["a", "b"]


def test_the_agent_wins_over_the_defaults_and_some_things_merge_by_key(operator: Operator):
    [agent] = agents(
        operator,
        """{defaults: {name: 'D', maxTurns: 2, model: {primary: 'builtin/a', fallbacks: ['builtin/b']},
              params: {temperature: 1, topP: 0.5}, tools: {profile: 'full', deny: ['x']},
              identity: {name: 'D', emoji: 'd'}},
            list: [{id: 'a', name: 'A', params: {top_p: 0.25, seed: 1}, tools: {deny: ['y']},
              identity: {emoji: 'a'}}]}""",
    )
    assert (agent.name, agent.max_turns) == ("A", 2)
    assert agent.params == {"temperature": 1, "top_p": 0.25, "seed": 1}
    assert agent.tools == ToolSettings(profile="full", deny=("y",))
    assert agent.identity == AgentIdentity("D", "a")
    assert (agent.model, agent.fallbacks) == ("builtin/a", ("builtin/b",))


@pytest.mark.parametrize(
    ("model", "primary", "fallbacks"),
    [
        ("'builtin/c'", "builtin/c", ()),
        ("{primary: 'builtin/c'}", "builtin/c", ()),
        ("{fallbacks: ['builtin/d']}", "builtin/a", ("builtin/d",)),
        ("{fallbacks: []}", "builtin/a", ()),
    ],
)
def test_an_agents_own_model_leaves_the_defaults_fallbacks(
    operator: Operator, model: str, primary: str, fallbacks: tuple[str, ...]
):
    defaults = "{model: {primary: 'builtin/a', fallbacks: ['builtin/b']}}"
    [agent] = agents(operator, f"{{defaults: {defaults}, list: [{{id: 'a', model: {model}}}]}}")
    assert (agent.model, agent.fallbacks) == (primary, fallbacks)


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("{list: [{id: 'a'}, {id: 'b'}]}", "a"),
        ("{list: [{id: 'a'}, {id: 'MAIN'}]}", "main"),
        ("{list: [{id: 'a'}, {id: 'main'}, {id: 'c', default: true}]}", "c"),
        ("{list: [{id: 'a', default: false}, {id: 'b'}]}", "a"),
        ("{entries: {b: {}, a: {default: true}}}", "a"),
    ],
)
def test_exactly_one_agent_is_the_default(operator: Operator, text: str, default: str):
    assert [agent.id for agent in agents(operator, text) if agent.default] == [default]


def test_workspaces(operator: Operator):
    found = agents(
        operator, "{defaults: {workspace: '~/w'}, list: [{id: 'a'}, {id: 'b'}, {id: 'c', workspace: 'x'}]}"
    )
    state = operator.home / ".openclaw"
    assert [agent.workspace for agent in found] == [
        operator.home / "w",
        state / "workspace-b",
        operator.cwd / "x",
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{temperature: 2, topP: 1}", {"temperature": 2, "top_p": 1}),
        ("{maxTokens: 5}", {"max_tokens": 5}),
        ("{max_tokens: 5}", {"max_tokens": 5}),
        ("{max_completion_tokens: 5}", {"max_completion_tokens": 5}),
        ("{maxCompletionTokens: '5'}", {"max_completion_tokens": 5}),
        ("{frequencyPenalty: -2, presence_penalty: 2}", {"frequency_penalty": -2, "presence_penalty": 2}),
        ("{seed: -1}", {"seed": -1}),
        ("{stop: 'x'}", {"stop": "x"}),
        ("{stop: ['a', 'b', 'c', 'd']}", {"stop": ["a", "b", "c", "d"]}),
        ("{responseFormat: {type: 'json_object'}}", {"response_format": {"type": "json_object"}}),
        ("{reasoningEffort: 'low'}", {"reasoning_effort": "low"}),
        ("{parallel_tool_calls: false}", {"parallel_tool_calls": False}),
        ("{cacheRetention: 'none', extra_body: {}}", {}),
    ],
)
def test_params_have_openais_names(operator: Operator, written: str, meant: dict[str, Any]):
    [agent] = agents(operator, "{defaults: {params: " + written + "}}")
    assert agent.params == meant


@pytest.mark.parametrize(
    ("text", "path", "what"),
    [
        ("{list: [{}]}", "agents.list[0].id", "is missing"),
        ("{list: [{id: ''}]}", "agents.list[0].id", "must be letters, digits"),
        ("{list: [{id: '-a'}]}", "agents.list[0].id", "not begin with"),
        ("{list: [{id: 'ä'}]}", "agents.list[0].id", "must be letters, digits"),
        ("{list: [{id: '" + ("a" * 65) + "'}]}", "agents.list[0].id", "at most 64"),
        ("{entries: {'a b': {}}}", 'agents.entries."a b"', "must be letters, digits"),
        ("{entries: {a: {id: 'b'}}}", "agents.entries.a.id", "must be the key of the entry"),
        ("{list: [{id: 'a'}, {id: 'A'}]}", "agents.list[1].id", "another agent `a`"),
        ("{list: [{id: 'a'}], entries: {a: {}}}", "agents.entries.a.id", "another agent `a`"),
        ("{entries: {a: {}, A: {}}}", "agents.entries.A", "same name as another"),
        (
            "{list: [{id: 'a', default: true}, {id: 'b', default: true}]}",
            "agents.list[1].default",
            "`a` is marked as the default too",
        ),
        ("{lst: []}", "agents.lst", "did you mean `list`?"),
        ("{list: {}}", "agents.list", "must be a list"),
        ("{list: ['a']}", "agents.list[0]", "must be an object"),
        ("{defaults: {id: 'a'}}", "agents.defaults.id", "is not a key of `agents.defaults`"),
        ("{defaults: {sytemPrompt: ''}}", "agents.defaults.sytemPrompt", "did you mean `systemPrompt`?"),
        ("{defaults: {model: 'gpt-4o'}}", "agents.defaults.model", 'must be "provider/model"'),
        ("{defaults: {model: 'openai/'}}", "agents.defaults.model", 'must be "provider/model"'),
        ("{defaults: {model: 5}}", "agents.defaults.model", 'must be "provider/model" or {primary'),
        ("{defaults: {model: {primry: 'a/b'}}}", "agents.defaults.model.primry", "did you mean `primary`?"),
        ("{defaults: {model: {fallbacks: ['x']}}}", "agents.defaults.model.fallbacks[0]", "provider/model"),
        ("{defaults: {params: {temperature: 2.1}}}", "agents.defaults.params.temperature", "from 0 to 2"),
        ("{defaults: {params: {top_p: -1}}}", "agents.defaults.params.topP", "from 0 to 1"),
        ("{defaults: {params: {maxTokens: 0}}}", "agents.defaults.params.maxTokens", "1 or more"),
        ("{defaults: {params: {seed: 1.5}}}", "agents.defaults.params.seed", "whole number"),
        ("{defaults: {params: {stop: ['']}}}", "agents.defaults.params.stop", "none of them empty"),
        ("{defaults: {params: {stop: ['a','b','c','d','e']}}}", "agents.defaults.params.stop", "at most 4"),
        ("{defaults: {params: {temperatur: 1}}}", "agents.defaults.params.temperatur", "`temperature`"),
        ("{defaults: {params: {topP: 1, top_p: 1}}}", "agents.defaults.params.top_p", "given twice"),
        ("{defaults: {maxTurns: 1001}}", "agents.defaults.maxTurns", "from 1 to 1000"),
        ("{defaults: {timeoutSeconds: 0}}", "agents.defaults.timeoutSeconds", "must be a number"),
        ("{defaults: {maxConcurrent: 0}}", "agents.defaults.maxConcurrent", "1 or more"),
        ("{defaults: {workspace: ''}}", "agents.defaults.workspace", "must not be blank"),
        ("{defaults: {tools: {profile: 'codng'}}}", "agents.defaults.tools.profile", "`coding`"),
        (
            "{defaults: {tools: {allow: ['a'], alsoAllow: ['b']}}}",
            "agents.defaults.tools.alsoAllow",
            "cannot be used with `allow`",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_key_and_a_hint(operator: Operator, text: str, path: str, what: str):
    [problem] = operator.problems("{agents: " + text + "}")
    assert f": {path}: " in problem
    assert what in problem
