"""Without any file: what a dyno or a container sets in the environment is enough."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider, wait_until

# What Heroku and a key make: the file is never there.
DYNO = {
    "DYNO": "web.1",
    "OPENCLAW_GATEWAY_TOKEN": TOKEN,
    "OPENCLAW_CHAT_COMPLETIONS": "1",
    "OPENAI_API_KEY": "canary-of-the-key",
}
BODY = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}


class Bare(GatewayProcess):
    """A gateway whose environment is all there is."""

    def write_config(self, config: dict[str, Any]) -> None:
        pass

    def start(self) -> GatewayProcess:
        self._environment.pop("OPENCLAW_CONFIG_PATH", None)
        self._environment["OPENCLAW_GATEWAY_PORT"] = str(self.port)
        return super().start()


@pytest.fixture
def start_bare(tmp_path, provider: ScriptedProvider):
    started: list[Bare] = []

    def start(**environment: str) -> Bare:
        folder = tmp_path / f"bare-{len(started)}"
        folder.mkdir()
        started.append(Bare(folder, {}, OPENCLAW_GATEWAY_TOKEN=TOKEN, **environment))
        started[-1].start()
        return started[-1]

    yield start
    for gateway in started:
        gateway.stop()


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        ({}, 404),
        ({"OPENCLAW_CHAT_COMPLETIONS": "1"}, 200),
        ({"CLAWDBOT_CHAT_COMPLETIONS": "true"}, 200),
        ({"OPENCLAW_CHAT_COMPLETIONS": "0"}, 404),
        ({"OPENCLAW_CHAT_COMPLETIONS": ""}, 404),
    ],
)
def test_a_variable_switches_the_endpoint(start_bare, environment: dict[str, str], status: int) -> None:
    gateway = start_bare(**environment)
    answer = gateway.request("GET", "/v1/models", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status == status
    if status == 404:
        assert answer.error["code"] == "endpoint_disabled"
        assert "gateway.http.endpoints.chatCompletions.enabled" in answer.error["message"]
        assert "OPENCLAW_CHAT_COMPLETIONS=1" in answer.error["message"]


@pytest.mark.parametrize(("written", "variable", "status"), [(True, "0", 200), (False, "1", 404)])
def test_the_configuration_takes_precedence_where_it_has_the_setting(
    start_gateway: StartGateway, provider: ScriptedProvider, written: bool, variable: str, status: int
) -> None:
    config = config_for(provider.url)
    config["gateway"]["http"]["endpoints"]["chatCompletions"]["enabled"] = written
    gateway = start_gateway(config, OPENCLAW_CHAT_COMPLETIONS=variable)
    assert gateway.chat(BODY).status == status


def test_the_variable_counts_beside_a_file_without_the_setting(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    config = config_for(provider.url, http={"endpoints": {"chatCompletions": {"maxImageParts": 3}}})
    gateway = start_gateway(config, OPENCLAW_CHAT_COMPLETIONS="1")
    assert gateway.chat(BODY).status == 200


def test_the_whole_configuration_is_in_the_environment(start_bare, provider: ScriptedProvider) -> None:
    text = "// by hand\n" + json.dumps(config_for(provider.url)).replace('"gateway"', "gateway")
    gateway = start_bare(OPENCLAW_CONFIG=text)
    assert gateway.ask("hi").text == "echo: hi"
    assert gateway.request("GET", "/ready?verbose").json["config"] == "current"
    with operator(gateway) as client:
        shown = client.call("config.get")
        assert (shown["exists"], shown["path"]) == (False, "OPENCLAW_CONFIG")
        assert "provider-key-canary" not in json.dumps(shown)
        refused = client.response(client.request("config.set", {"raw": "{}", "baseHash": "x"}))
        assert "OPENCLAW_CONFIG" in refused["error"]["message"]
    assert not (gateway.state / "openclaw.json").exists()


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"OPENCLAW_CONFIG": "{ gateway: { prot: 1 } }"}, "OPENCLAW_CONFIG:1:"),
        ({"OPENCLAW_CONFIG": "{ gateway: "}, "OPENCLAW_CONFIG:1:"),
        ({"OPENCLAW_CONFIG": "/etc/openclaw.json"}, "OPENCLAW_CONFIG_PATH names a file"),
        ({"OPENCLAW_CHAT_COMPLETIONS": "maybe"}, "OPENCLAW_CHAT_COMPLETIONS: must be 1 or 0"),
    ],
)
def test_mistakes_in_the_environment_are_refused(tmp_path, environment: dict[str, str], why: str) -> None:
    gateway = Bare(tmp_path, {}, OPENCLAW_GATEWAY_TOKEN=TOKEN, **environment)
    gateway._environment.pop("OPENCLAW_CONFIG_PATH")
    checked = gateway.command("config", "check")
    assert checked.returncode == 78
    assert why in checked.stderr
    assert gateway.spawn().wait(30) == 78
    assert why in gateway.log


def test_sessions_that_will_be_lost_are_said_to_be(start_bare) -> None:
    gateway = start_bare(DYNO="web.1", OPENCLAW_CHAT_COMPLETIONS="1")
    wait_until(lambda: "sessions will be lost" in gateway.log, 20, "warning")
    (line,) = [line for line in gateway.log.splitlines() if "sessions will be lost" in line]
    assert "dyno's disk is emptied" in line
    assert "DATABASE_URL" in line
    assert gateway.request("GET", "/ready?verbose").json["storage"].startswith("ephemeral: ")
    assert "dyno's disk" in gateway.command("config", "check").stdout


def test_token_port_and_a_providers_key_are_all_it_needs(tmp_path, provider: ScriptedProvider) -> None:
    gateway = Bare(tmp_path, {}, **DYNO, OPENAI_BASE_URL=provider.url)
    gateway._environment |= {"PORT": str(gateway.port)}
    gateway._environment.pop("HOME")
    gateway.start()
    try:
        assert f"Listening at: http://0.0.0.0:{gateway.port}" in gateway.log
        answer = gateway.chat({**BODY, "model": "openclaw"}, Host="my-app.herokuapp.example")
        assert answer.text == "echo: hi"
        assert provider.requests[-1]["model"] == "gpt-4.1-mini"
        assert "canary-of-the-key" not in gateway.log
    finally:
        gateway.stop()


@pytest.mark.parametrize("token", [None, "short", "changeme"])
def test_an_open_port_needs_a_token_that_nobody_guesses(tmp_path, token: str | None) -> None:
    gateway = Bare(tmp_path, {}, **{**DYNO, "OPENCLAW_GATEWAY_TOKEN": token or ""})
    gateway._environment |= {"PORT": str(gateway.port)}
    gateway._environment.pop("OPENCLAW_CONFIG_PATH")
    assert gateway.spawn().wait(60) == 78
    (line,) = [line for line in gateway.log.splitlines() if "does not start" in line]
    assert "OPENCLAW_GATEWAY_TOKEN" in line or "gateway.auth.token" in line


def test_the_count_of_workers_that_heroku_sets_is_refused_with_both_ways_out(tmp_path) -> None:
    gateway = Bare(tmp_path, {}, **DYNO, WEB_CONCURRENCY="2")
    gateway._environment |= {"PORT": str(gateway.port)}
    gateway._environment.pop("OPENCLAW_CONFIG_PATH")
    assert gateway.spawn().wait(60) == 78
    (line,) = [line for line in gateway.log.splitlines() if "does not start" in line]
    for said in ("WEB_CONCURRENCY=1", "DATABASE_URL", "REDIS_URL", "heroku addons:create heroku-postgresql"):
        assert said in line
