"""Which agent and which session an operator means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.config.agent_settings import AgentSettings
from app.config.loader import load_settings
from app.config.settings import Settings
from app.errors import GatewayError, InvalidRequest, InvalidSessionKey, UnknownAgent
from app.routing.operator import (
    agent_of_key,
    check_same_agent,
    find_agent,
    main_session_key,
    resolve_agent_id,
    resolve_agent_route,
    resolve_operator_route,
    resolve_session_key,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    agents = (AgentSettings("main", default=True), AgentSettings("beta"))
    return replace(load_settings({"HOME": str(tmp_path)}, tmp_path), agents=agents)


@pytest.mark.parametrize(
    ("named", "found"), [(None, "main"), ("", "main"), ("  ", "main"), ("beta", "beta"), (" Beta ", "beta")]
)
def test_the_agent_that_is_named_or_the_default_one(named: str | None, found: str, settings: Settings):
    assert resolve_agent_id(named, settings) == found
    assert find_agent(named, settings).id == found


@pytest.mark.parametrize("named", ["ghost", "no good"])
def test_an_agent_that_is_not_configured(named: str, settings: Settings):
    with pytest.raises(UnknownAgent, match=f'^unknown agent id "{named}"$'):
        resolve_agent_id(named, settings)


@pytest.mark.parametrize(
    ("text", "agent_id", "key"),
    [
        ("main", None, "agent:main:main"),
        ("Work", None, "agent:main:work"),
        ("work", "Beta", "agent:beta:work"),
        ("agent:Beta:Work", None, "agent:beta:work"),
        ("agent:beta:work", "main", "agent:beta:work"),
        ("agent:gone:work", None, "agent:gone:work"),
        ("work", "gone", "agent:gone:work"),
        ("GLOBAL", "beta", "global"),
    ],
)
def test_session_keys(text: str, agent_id: str | None, key: str, settings: Settings):
    assert resolve_session_key(text, agent_id, settings, None) == key


def test_wrong_session_keys(settings: Settings):
    with pytest.raises(InvalidSessionKey):
        resolve_session_key("agent::x", None, settings, None)
    with pytest.raises(UnknownAgent, match=r'^unknown agent id "no good"$'):
        resolve_session_key("x", "no good", settings, None)


def test_where_a_message_goes(settings: Settings):
    route = resolve_operator_route("agent:beta:work", "main", settings, None, "Ada")
    assert (route.agent_id, route.session_key, route.label) == ("beta", "agent:beta:work", "Ada")
    assert resolve_operator_route(None, "beta", settings, None).session_key == "agent:beta:main"
    assert resolve_operator_route("global", "beta", settings, None).agent_id == "main"
    with pytest.raises(UnknownAgent):
        resolve_operator_route("agent:gone:work", None, settings, None)


def test_where_an_agents_run_goes(settings: Settings):
    route = resolve_agent_route("work", "beta", settings, None)
    assert (route.agent_id, route.session_key) == ("beta", "agent:beta:work")
    assert resolve_agent_route(None, None, settings, None).session_key == "agent:main:main"
    assert resolve_agent_route("agent:beta:x", None, settings, None).agent_id == "beta"
    assert resolve_agent_route("global", "beta", settings, None).agent_id == "beta"


@pytest.mark.parametrize(
    ("text", "agent_id", "error", "message"),
    [
        (None, "ghost", UnknownAgent, 'invalid agent params: unknown agent id "ghost"'),
        ("agent:ghost:x", None, UnknownAgent, 'invalid agent params: unknown agent id "ghost"'),
        (
            "agent:beta:x",
            "main",
            InvalidRequest,
            'invalid agent params: agent "main" does not match session key agent "beta"',
        ),
    ],
)
def test_where_no_agents_run_goes(
    text: str | None, agent_id: str | None, error: type[GatewayError], message: str, settings: Settings
):
    with pytest.raises(error) as caught:
        resolve_agent_route(text, agent_id, settings, None)
    assert caught.value.message == message


def test_the_agent_of_a_session(settings: Settings):
    assert main_session_key(settings) == "agent:main:main"
    assert agent_of_key("agent:beta:x", settings) == "beta"
    assert agent_of_key("global", settings) == "main"
    check_same_agent(None, "beta", "any")
    check_same_agent(" Beta", "beta", "any")
    with pytest.raises(InvalidRequest, match=r"^invalid any params: agent \"main\" does not match"):
        check_same_agent("main", "beta", "any")


def test_labels_are_cut(settings: Settings):
    label = "l" * 600
    for resolve in (resolve_operator_route, resolve_agent_route):
        assert resolve("main", None, settings, None, label).label == "l" * 512
        assert resolve("main", None, settings, None, "  ").label is None
