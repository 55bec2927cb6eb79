"""Which agent and which session: the tables, row by row."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.config.agent_settings import AgentSettings
from app.errors import GatewayError, InvalidRequest, InvalidSessionKey, ModelNotFound, UnknownAgent
from app.routing.resolve import Route, resolve_agent, resolve_session

AGENTS = (AgentSettings("main"), AgentSettings("beta", default=True), AgentSettings("a-b_9"))
LONGEST = "x" * 64


def agent_of(model: object = None, header: str | None = None, **options: Any) -> str:
    return resolve_agent(model, header, (*AGENTS, AgentSettings(LONGEST)), **options)


def refusal(model: object = None, header: str | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        agent_of(model, header)
    return caught.value


BRANDS = ("openclaw", "clawdbot", "OpenClaw", "CLAWDBOT")


@pytest.mark.parametrize("brand", BRANDS)
@pytest.mark.parametrize(
    ("form", "agent"),
    [
        ("{}:main", "main"),
        ("{}/main", "main"),
        ("{}:MAIN", "main"),
        (" {}/a-b_9\t", "a-b_9"),
        ("{}:" + LONGEST, LONGEST),
        ("{}", "beta"),
        ("  {}  ", "beta"),
        ("{}/default", "beta"),
        ("{}:Default", "beta"),
    ],
)
def test_a_brands_model_names_an_agent_or_the_default(brand: str, form: str, agent: str):
    assert agent_of(form.format(brand)) == agent


@pytest.mark.parametrize(
    ("model", "agent"),
    [("agent:main", "main"), ("Agent:MAIN ", "main"), (None, "beta"), ("", "beta"), (" \n", "beta")],
)
def test_other_models_that_name_an_agent_or_nothing(model: str | None, agent: str):
    assert agent_of(model) == agent


UNKNOWN_MODELS = [
    "gpt-4o",
    "main",
    "default",
    "agent",
    "agent:",
    "agent/main",
    "openclaw:",
    "openclaw/",
    "clawdbot:",
    "a:b:c",
    "openclaw:main:x",
    "openclaw::main",
    "openclaw: main",
    "openclaw:-main",
    "openclaw:_main",
    "openclaw:m ain",
    "openclaw:mäin",
    "openclaw:main\u0661",
    "openclawmain",
    "xopenclaw:main",
    "openclaw:" + "x" * 65,
    "öpenclaw",
    "🦞",
]


@pytest.mark.parametrize("model", UNKNOWN_MODELS)
def test_any_other_model_does_not_exist(model: str):
    error = refusal(model)
    assert (type(error), error.code, error.param) == (ModelNotFound, "model_not_found", "model")
    assert "`openclaw`" in error.message


@pytest.mark.parametrize("model", UNKNOWN_MODELS)
def test_any_other_model_may_be_made_to_mean_the_default_agent(model: str):
    assert agent_of(model, unknown_model="default") == "beta"


def test_the_message_about_a_model_stays_short():
    assert len(refusal("x" * 100_000).message) < 500


@pytest.mark.parametrize("model", [5, 1.5, True, False, [], {}, ["openclaw"]])
@pytest.mark.parametrize("header", [None, "main"])
def test_a_model_that_is_no_text_is_refused_even_beside_a_header(model: object, header: str | None):
    error = refusal(model, header)
    assert (type(error), error.param) == (InvalidRequest, "model")


@pytest.mark.parametrize("model", ["openclaw:beta", "openclaw", "gpt-4o", "a:b:c", "openclaw:nobody", None])
@pytest.mark.parametrize("header", ["main", "MAIN", "  Main "])
def test_the_header_beats_the_model(model: str | None, header: str):
    assert agent_of(model, header) == "main"


@pytest.mark.parametrize("header", [None, "", "  "])
def test_a_header_with_nothing_in_it_says_nothing(header: str | None):
    assert agent_of("openclaw:main", header) == "main"


@pytest.mark.parametrize("model", ["openclaw:nobody", "clawdbot/nobody", "agent:nobody", "agent:default"])
def test_an_agent_that_is_not_configured_is_named_beside_those_that_are(model: str):
    error = refusal(model)
    assert (type(error), error.code, error.param) == (UnknownAgent, "unknown_agent", "model")
    assert re.split("[:/]", model)[1] in error.message
    assert all(f"`{agent.id}`" in error.message for agent in AGENTS)


@pytest.mark.parametrize(
    "header", ["nobody", "openclaw:main", "default", "ma in", "mäin", "x" * 65, "../main"]
)
def test_an_unknown_agent_in_the_header_is_refused_even_where_any_model_goes(header: str):
    with pytest.raises(UnknownAgent) as caught:
        agent_of(None, header, unknown_model="default")
    assert caught.value.param == "x-openclaw-agent-id"


def test_an_unknown_agent_is_unknown_even_where_any_model_goes():
    with pytest.raises(UnknownAgent):
        agent_of("openclaw:nobody", unknown_model="default")


# Sessions


def session(user: object = None, key: str | None = None, **options: Any) -> Route:
    return resolve_session("main", user, key, "home", **options)


UUID4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.mark.parametrize("surface", ["openai", "openresponses"])
@pytest.mark.parametrize("user", [None, "", "   ", "\t\n"])
def test_nothing_is_a_session_of_its_own_that_is_not_stored(surface: Any, user: str | None):
    first, second = session(user, surface=surface), session(user, surface=surface)
    assert re.fullmatch(f"agent:main:{surface}:{UUID4}", first.session_key)
    assert first.session_key != second.session_key
    assert first.stateless
    assert first.label is None


@pytest.mark.parametrize("surface", ["openai", "openresponses"])
def test_a_user_has_one_stored_session_for_each_agent_and_surface(surface: Any):
    route = session("Ann", surface=surface)
    assert re.fullmatch(f"agent:main:{surface}-user:[0-9a-f]{{64}}", route.session_key)
    assert (route.source, route.stateless, route.label) == ("user", False, "Ann")
    assert session(" Ann\n", surface=surface) == route
    assert session("ann", surface=surface).session_key != route.session_key
    assert resolve_session("beta", "Ann", None, "home", surface).session_key != route.session_key


@pytest.mark.parametrize(
    "user", ["x" * 10_000, "subagent:x", "agent:beta:main", "\x00", "🦞", "main", "a\nb"]
)
def test_any_text_will_do_as_user(user: str):
    assert re.fullmatch("agent:main:openai-user:[0-9a-f]{64}", session(user).session_key)
    assert session(user).label == user[:512]


@pytest.mark.parametrize("user", [0, 5, True, False, [], {}, ["Ann"]])
@pytest.mark.parametrize("key", [None, "k"])
def test_a_user_that_is_no_text_is_refused(user: object, key: str | None):
    with pytest.raises(InvalidRequest) as caught:
        session(user, key)
    assert caught.value.param == "user"


@pytest.mark.parametrize(
    ("key", "expected"),
    [("k", "agent:main:k"), ("agent:main:x", "agent:main:x"), ("main", "agent:main:home")],
)
def test_a_key_beats_the_user_whose_text_stays_the_label(key: str, expected: str):
    assert session("Ann", key) == Route("main", expected, "key", "Ann")
    assert session(None, key) == Route("main", expected, "key", None)


@pytest.mark.parametrize("key", ["agent:beta:x", "cron:x", "agent:"])
def test_a_key_that_will_not_do_is_not_replaced_by_the_user(key: str):
    with pytest.raises(InvalidSessionKey):
        session("Ann", key)


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_key_with_nothing_in_it_says_nothing(key: str | None):
    assert session("Ann", key).source == "user"


def test_a_label_is_cut_and_the_key_has_the_whole_user():
    long = "u" * 600
    one, other = (
        resolve_session("main", long, None, "main"),
        resolve_session("main", long + "x", None, "main"),
    )
    assert (one.label, other.label) == ("u" * 512, "u" * 512)
    assert one.session_key != other.session_key
    assert resolve_session("main", long, "a-key", "main").label == "u" * 512
