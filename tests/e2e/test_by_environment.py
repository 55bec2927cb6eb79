"""Without any file: what a dyno or a container sets in the environment is enough."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider

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
