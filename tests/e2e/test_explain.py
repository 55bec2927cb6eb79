"""What an agent is given for a run, and why: on the command line and over WebSocket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import GatewayProcess, agent_config
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider

if TYPE_CHECKING:
    from tests.e2e.conftest import StartGateway


@pytest.fixture
def gateway(start_gateway: StartGateway, provider: ScriptedProvider) -> GatewayProcess:
    config = agent_config(
        provider.url, {"profile": "coding", "deny": ["write"]}, systemPrompt="You like the sea."
    )
    config["gateway"]["http"]["endpoints"]["chatCompletions"]["tools"] = {"deny": ["ls"]}
    return start_gateway(config)


def test_what_an_agent_is_given(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    done = gateway.command("agent", "--explain", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    tools, absent = ({one["name"]: one["why"] for one in told[key]} for key in ("tools", "absent"))
    assert (told["agentId"], told["model"]) == ("main", "test/test")
    assert tools["read"] == "tools.profile (coding)"
    assert absent["write"] == "tools.deny"
    assert {one["name"]: one["why"] for one in told["notOverHttp"]} == {
        "ls": "gateway.http.endpoints.chatCompletions.tools.deny"
    }
    shown = gateway.command("agent", "--explain").stdout
    assert "You like the sea." in shown
    assert "write" in shown

    assert gateway.ask("hi", user="ann").status == 200
    with operator(gateway) as client:
        key = client.call("sessions.list")["sessions"][0]["key"]
        row = client.call("sessions.describe", {"key": key, "explain": True})
        assert "agent" not in client.call("sessions.describe", {"key": key})
    assert row["session"]["key"] == key
    agent = row["agent"]
    assert agent["tools"] == told["tools"]
    (request,) = provider.requests
    offered = [one["function"]["name"] for one in request["tools"]]
    assert [*offered, "ls"] == sorted([*tools], key=[*offered, "ls"].index)
    assert agent["systemPrompt"]["text"].partition("# Tools")[0] in request["messages"][0]["content"]
    assert len(provider.requests) == 1


def test_wrong_use(gateway: GatewayProcess) -> None:
    assert gateway.command("agent", "--explain", "--agent", "nobody").returncode != 0
    assert gateway.command("agent").returncode == 2
