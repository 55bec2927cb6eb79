"""Which agent answers, and in which session."""

from __future__ import annotations

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, pause, says, wait_for, wait_until

HI = [{"role": "user", "content": "hi"}]
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.mark.parametrize(
    ("model", "headers", "agent"),
    [
        ("openclaw", {}, "main"),
        ("openclaw/default", {}, "main"),
        ("openclaw:default", {}, "main"),
        ("", {}, "main"),
        ("   ", {}, "main"),
        (None, {}, "main"),
        ("openclaw:beta", {}, "beta"),
        ("openclaw/beta", {}, "beta"),
        ("agent:beta", {}, "beta"),
        (" OpenClaw:BETA ", {}, "beta"),
        ("clawdbot", {}, "main"),
        ("clawdbot:beta", {}, "beta"),
        ("clawdbot/beta", {}, "beta"),
        ("openclaw", {"x_openclaw_agent_id": "beta"}, "beta"),
        ("openclaw", {"X_OpenClaw_Agent_Id": " BETA "}, "beta"),
        ("openclaw", {"x_openclaw_agent": "beta"}, "beta"),
        ("openclaw", {"x_clawdbot_agent_id": "beta"}, "beta"),
        ("openclaw", {"x_clawdbot_agent": "beta"}, "beta"),
        ("openclaw:main", {"x_openclaw_agent_id": "beta"}, "beta"),
        ("gpt-4o", {"x_openclaw_agent_id": "beta"}, "beta"),
        ("openclaw", {"x_openclaw_agent_id": "beta", "x_clawdbot_agent_id": "main"}, "beta"),
        ("openclaw:beta", {"x_openclaw_agent_id": ""}, "beta"),
    ],
)
def test_the_agent(
    gateway: GatewayProcess,
    provider: ScriptedProvider,
    model: str | None,
    headers: dict[str, str],
    agent: str,
) -> None:
    answer = gateway.chat({"model": model, "messages": HI}, **headers)
    assert answer.status == 200, answer.body
    assert provider.messages()[0] == ("system", f"You are {agent}.")
    assert answer.headers["X-OpenClaw-Agent-Id"] == agent
    if model:
        assert answer.json["model"] == model


def test_no_model_at_all(gateway: GatewayProcess) -> None:
    answer = gateway.chat({"messages": HI})
    assert (answer.status, answer.json["model"]) == (200, "openclaw")


@pytest.mark.parametrize(
    ("model", "headers", "status", "code", "param"),
    [
        ("gpt-4o", {}, 404, "model_not_found", "model"),
        ("main", {}, 404, "model_not_found", "model"),
        ("openclaw:", {}, 404, "model_not_found", "model"),
        ("a:b:c", {}, 404, "model_not_found", "model"),
        ("openclaw:a:b", {}, 404, "model_not_found", "model"),
        ("agent:", {}, 404, "model_not_found", "model"),
        ("openclaw:" + "a" * 65, {}, 404, "model_not_found", "model"),
        ("openclaw:ghost", {}, 400, "unknown_agent", "model"),
        ("openclaw", {"x_openclaw_agent_id": "ghost"}, 400, "unknown_agent", "x-openclaw-agent-id"),
        ("openclaw", {"x_openclaw_agent_id": "../main"}, 400, "unknown_agent", "x-openclaw-agent-id"),
        (5, {}, 400, None, "model"),
        (["openclaw"], {}, 400, None, "model"),
        (5, {"x_openclaw_agent_id": "beta"}, 400, None, "model"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_no_such_agent(
    gateway: GatewayProcess,
    provider: ScriptedProvider,
    model: object,
    headers: dict[str, str],
    status: int,
    code: str | None,
    param: str,
    stream: bool,
) -> None:
    answer = gateway.chat({"model": model, "messages": HI, "stream": stream}, **headers)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (status, code, param)
    assert provider.requests == []
    if code == "unknown_agent":
        assert "`main`, `beta`" in answer.error["message"]


def test_unknown_models_may_go_to_the_default(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    endpoint = {"enabled": True, "unknownModel": "default"}
    gateway = start_gateway(config_for(provider.url, http={"endpoints": {"chatCompletions": endpoint}}))
    answer = gateway.chat({"model": "gpt-4o", "messages": HI})
    assert (answer.status, answer.json["model"]) == (200, "gpt-4o")
    assert gateway.chat({"model": "openclaw:ghost", "messages": HI}).error["code"] == "unknown_agent"


def test_the_model_may_be_overridden_by_one_that_is_known(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    assert gateway.chat({"messages": HI}, x_openclaw_model="test/other").status == 200
    assert provider.requests[-1]["model"] == "other"
    for name in ("nobody/x", "test", "http://127.0.0.1/x", "test/"):
        answer = gateway.chat({"messages": HI}, x_openclaw_model=name)
        assert answer.status == 400, name


@pytest.mark.parametrize(
    ("more", "headers", "key", "source"),
    [
        ({}, {}, rf"agent:main:openai:{UUID}", "new"),
        ({"user": None}, {}, rf"agent:main:openai:{UUID}", "new"),
        ({"user": ""}, {}, rf"agent:main:openai:{UUID}", "new"),
        ({"user": "  "}, {}, rf"agent:main:openai:{UUID}", "new"),
        ({"user": "ann"}, {}, r"agent:main:openai-user:[0-9a-f]{64}", "user"),
        ({"user": "x" * 5000}, {}, r"agent:main:openai-user:[0-9a-f]{64}", "user"),
        ({"user": "Ünï ☃ \n"}, {}, r"agent:main:openai-user:[0-9a-f]{64}", "user"),
        ({}, {"x_openclaw_session_key": "notes"}, r"agent:main:notes", "key"),
        ({"user": "ann"}, {"x_openclaw_session_key": "notes"}, r"agent:main:notes", "key"),
        ({}, {"x_clawdbot_session_key": "notes"}, r"agent:main:notes", "key"),
        ({}, {"x_openclaw_session_key": "a:b c"}, r"agent:main:a:b c", "key"),
        ({}, {"x_openclaw_session_key": "agent:main:trip"}, r"agent:main:trip", "key"),
        ({}, {"x_openclaw_session_key": "main"}, r"agent:main:main", "key"),
        (
            {"model": "openclaw:beta"},
            {"x_openclaw_session_key": "agent:beta:trip"},
            r"agent:beta:trip",
            "key",
        ),
        ({"model": "openclaw:beta"}, {"x_openclaw_session_key": "main"}, r"agent:beta:main", "key"),
        ({"model": "openclaw:beta", "user": "ann"}, {}, r"agent:beta:openai-user:[0-9a-f]{64}", "user"),
    ],
)
def test_the_session(
    gateway: GatewayProcess, more: dict[str, object], headers: dict[str, str], key: str, source: str
) -> None:
    answer = gateway.chat({"model": "openclaw", "messages": HI, **more}, **headers)
    assert answer.status == 200, answer.body
    assert re.fullmatch(key, answer.headers["X-OpenClaw-Session-Key"])
    assert answer.headers["X-OpenClaw-Session-Source"] == source


@pytest.mark.parametrize(
    "key",
    [
        "subagent:x",
        "x:subagent:y",
        "agent:main:subagent:x",
        "cron:daily",
        "ACP:1",
        "agent:main:harness:x",
        "agent:",
        "agent::x",
        "agent:main",
        "agent:main:",
        "agent:ghost:x",
        "agent:beta:x",
        "k" * 513,
    ],
)
def test_refused_session_keys(gateway: GatewayProcess, provider: ScriptedProvider, key: str) -> None:
    answer = gateway.ask("hi", stream=True)
    provider.reset()
    answer = gateway.chat({"messages": HI}, x_openclaw_session_key=key)
    assert (answer.status, answer.error["code"]) == (400, "invalid_session_key")
    assert provider.requests == []


def test_a_user_that_is_no_string(gateway: GatewayProcess) -> None:
    for user in (5, True, ["ann"], {"name": "ann"}):
        answer = gateway.ask("hi", user=user)
        assert (answer.status, answer.error["param"]) == (400, "user")


def test_stateless_calls_store_nothing_and_users_have_one_session(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    for _ in range(5):
        gateway.ask("hi")
    for _ in range(3):
        gateway.ask("hi", user="ann@example.org")
    with closing(sqlite3.connect(gateway.state / "gateway.sqlite")) as database:
        assert database.execute("SELECT label FROM sessions").fetchall() == [("ann@example.org",)]
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (3,)


def test_parallel_first_requests_of_a_new_session_are_served_in_order(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays(*([pause(0.1), *says(f"answer {number}")] for number in range(5)))

    def ask(number: int) -> str:
        return gateway.ask(f"question {number}", user="parallel").text

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(ask, range(5)))
    assert sorted(answers) == [f"answer {number}" for number in range(5)]
    assert [len(request["messages"]) for request in provider.requests] == [2, 4, 6, 8, 10]
    last = provider.messages()[1:]
    assert [text for role, text in last if role == "assistant"] == [f"answer {n}" for n in range(4)]
    assert len({text for role, text in last if role == "user"}) == 5


def test_other_sessions_run_side_by_side(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    go_on = Event()
    provider.always([wait_for(go_on), *says("ok")])
    with ThreadPoolExecutor(4) as pool:
        requests = [pool.submit(gateway.ask, "hi", user=f"side-{number}") for number in range(4)]
        wait_until(lambda: provider.open == 4, 30, "four calls at once")
        go_on.set()
        assert {request.result().status for request in requests} == {200}


def test_a_full_queue_is_refused_at_once(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url)
    config["session"] = {"queue": {"cap": 2}}
    gateway = start_gateway(config)
    go_on = Event()
    provider.plays([wait_for(go_on), *says("ok")])
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(gateway.ask, "hi", user="busy") for _ in range(3)]
        wait_until(lambda: gateway.request("GET", "/ready?verbose").json["activeRuns"] == 3, 30, "three runs")
        refused = gateway.ask("hi", user="busy")
        assert (refused.status, refused.error["code"]) == (429, "session_busy")
        assert refused.error["type"] == "rate_limited"
        assert int(refused.headers["Retry-After"]) >= 1
        assert gateway.ask("hi").status == 200
        go_on.set()
        assert {request.result().status for request in waiting} == {200}


def test_reject_mode_never_queues(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url)
    config["session"] = {"queue": {"mode": "reject"}}
    gateway = start_gateway(config)
    go_on = Event()
    provider.always([wait_for(go_on), *says("ok")])
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gateway.ask, "hi", user="busy")
        provider.wait_for_requests(1)
        assert gateway.ask("hi", user="busy").error["code"] == "session_busy"
        go_on.set()
        assert first.result().status == 200


def test_commands_in_a_message_are_plain_text(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    gateway.ask("Remember me.", user="commands")
    for command in ("/new", "/stop", "/reset", "/approve all"):
        gateway.ask(command, user="commands")
        assert provider.messages()[-1] == ("user", command)
    assert len(provider.messages()) == 1 + 2 * 4 + 1


def test_history_of_clients_that_resend_everything(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays(says("one"), says("two"), says("two again"), says("three"))
    talk = [{"role": "user", "content": "first"}]
    for expected in ("one", "two"):
        answer = gateway.chat({"user": "resender", "messages": talk})
        assert answer.text == expected
        assert len(provider.messages()) == 1 + len(talk)
        talk += [{"role": "assistant", "content": expected}, {"role": "user", "content": f"after {expected}"}]
    regenerate = talk[:3]
    assert gateway.chat({"user": "resender", "messages": regenerate}).text == "two again"
    assert [text for _, text in provider.messages()[1:]] == ["first", "one", "after one"]
    gateway.chat({"user": "resender", "messages": [{"role": "user", "content": "sticky"}]})
    assert [text for _, text in provider.messages()[1:]] == [
        "first",
        "one",
        "after one",
        "two again",
        "sticky",
    ]


def test_system_messages_are_for_one_turn(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "developer", "content": "Be kind."},
    ]
    gateway.chat({"user": "systems", "messages": messages})
    assert provider.messages()[0] == ("system", "You are main.\n\nBe brief.\n\nBe kind.")
    gateway.ask("again", user="systems")
    assert provider.messages()[0] == ("system", "You are main.")
    assert TOKEN not in gateway.log


def test_a_changed_queue_counts_without_a_restart(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    config = config_for(provider.url)
    config["session"] = {"queue": {"mode": "reject"}}
    gateway.write_config(config)
    provider.always([pause(0.5), *says("ok")])

    def is_refused() -> bool:
        with ThreadPoolExecutor(2) as pool:
            return 429 in {one.status for one in pool.map(lambda _: gateway.ask("hi", user="q"), range(2))}

    wait_until(is_refused, 30, "refusal")


def test_only_the_operator_chooses_the_model(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url, trustedProxies=["127.0.0.1"])
    proxy = {"userHeader": "x-user", "allowLoopback": True}
    config["gateway"]["auth"] = {"mode": "trusted-proxy", "trustedProxy": proxy}
    gateway = start_gateway(config)
    assert gateway.chat({"messages": HI}, x_user="ann", x_openclaw_model="test/other").status == 403
    assert gateway.chat({"messages": HI}, x_user="ann").status == 200
