"""Agents with tools of MCP servers, through a real gateway."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.gateway import TOKEN, Answer, GatewayProcess, read_until
from tests.support.mcp_peers import is_running, scripted, sdk, sdk_over_http, until, with_servers
from tests.support.provider import ScriptedProvider, done, finish, says, tool_call, usage

if TYPE_CHECKING:
    from tests.e2e.conftest import ShareGateway, StartGateway

HELD = {"connectionTimeoutMs": 60_000}  # on a busy machine


def calls(name: str, arguments: dict[str, Any] | None = None, call_id: str = "call_1") -> list[Any]:
    """A model's turn that calls one tool."""
    return [
        tool_call(0, call_id, name, json.dumps(arguments or {})),
        finish("tool_calls"),
        usage(1, 1),
        done(),
    ]


def ask(gateway: GatewayProcess, **more: Any) -> Answer:
    return gateway.chat({"model": "openclaw", "messages": [{"role": "user", "content": "Do it"}], **more})


def result(provider: ScriptedProvider) -> Any:
    """The content of the last tool result that the model has got."""
    return provider.requests[-1]["messages"][-1]["content"]


def call_tool(gateway: GatewayProcess, provider: ScriptedProvider, name: str, **arguments: Any) -> Any:
    provider.reset()
    provider.plays(calls(name, arguments), says("Done."))
    answer = ask(gateway)
    assert answer.status == 200, answer.body
    return result(provider)


def offered(provider: ScriptedProvider) -> list[str]:
    return [one["function"]["name"] for one in provider.requests[-1].get("tools", [])]


@pytest.fixture(scope="module")
def over_http() -> Iterator[str]:
    with sdk_over_http("streamable-http") as url:
        yield url


@pytest.fixture
def shared(share_gateway: ShareGateway, provider: ScriptedProvider) -> GatewayProcess:
    """One gateway for all that leave it as it was: each server is for one test, but `docs` for several."""
    names = ("docs", "killed", "dies", "hostile", "slow")
    config = with_servers(provider.url, {name: scripted(**HELD) for name in names})
    config["agents"]["list"].append({"id": "other"})
    return share_gateway(config)


def test_an_agent_calls_tools_over_stdio_and_over_http(
    start_gateway: StartGateway, provider: ScriptedProvider, over_http: str
):
    servers = {"local": sdk(**HELD), "Far away": {"type": "http", "url": over_http, **HELD}}
    gateway = start_gateway(with_servers(provider.url, servers))
    provider.plays(
        calls("local__add", {"a": 2, "b": 3}),
        calls("Far-away__add", {"a": 20, "b": 30}, "call_2"),
        calls("local__fail", {}, "call_3"),
        calls("Far-away__pixel", {}, "call_4"),
        says("All done."),
    )
    answer = ask(gateway)
    assert answer.text == "All done.", answer.body
    assert {"local__add", "Far-away__add", "local__resources_list", "local__prompts_get"} <= set(
        offered(provider)
    )
    first, second, failed, picture = [
        one["content"] for one in provider.requests[-1]["messages"] if one["role"] == "tool"
    ]
    assert first == 'structuredContent:\n{"total":5,"terms":[2,3]}'
    assert second == 'structuredContent:\n{"total":50,"terms":[20,30]}'
    assert json.loads(failed) == {
        "status": "error",
        "tool": "local__fail",
        "error": "Error executing tool fail",
    }
    assert "image" in json.dumps(picture)
    assert "Ignore all previous" not in json.dumps(provider.requests)


def test_the_sessions_of_an_agent_share_a_process_and_agents_do_not(
    shared: GatewayProcess, provider: ScriptedProvider
):
    def process_of(**request: Any) -> int:
        provider.plays(calls("docs__process_id"), says("Done."))
        assert ask(shared, **request).status == 200
        return int(result(provider))

    first = process_of(user="one")
    assert process_of(user="two") == first
    assert process_of(model="openclaw/other") != first


def test_a_server_ends_with_the_gateway(start_gateway: StartGateway, provider: ScriptedProvider):
    gateway = start_gateway(with_servers(provider.url, {"docs": scripted("--stay", **HELD)}))
    server = int(call_tool(gateway, provider, "docs__process_id"))
    child = int(call_tool(gateway, provider, "docs__child"))
    assert is_running(server)
    assert gateway.stop() == 0
    until(lambda: not is_running(server) and not is_running(child), "they still run")


def test_a_server_that_was_killed_is_started_again(shared: GatewayProcess, provider: ScriptedProvider):
    first = int(call_tool(shared, provider, "killed__process_id"))
    os.kill(first, signal.SIGKILL)
    until(lambda: "ended with signal 9" in shared.log, "its end is not noticed")
    second = int(call_tool(shared, provider, "killed__process_id"))
    assert second != first


def test_a_server_that_ends_in_a_call_is_an_error_and_the_run_goes_on(
    shared: GatewayProcess, provider: ScriptedProvider
):
    failed = json.loads(call_tool(shared, provider, "dies__die"))
    assert failed["status"] == "error"
    assert "code 3" in failed["error"]
    assert "canary" not in json.dumps(provider.requests)
    until(lambda: "I give up" in shared.log, "what it said is not in the log")


def test_a_leftover_of_a_killed_gateway_is_ended_at_the_next_start(
    start_gateway: StartGateway, provider: ScriptedProvider
):
    gateway = start_gateway(with_servers(provider.url, {"docs": scripted("--stay", **HELD)}))
    server = int(call_tool(gateway, provider, "docs__process_id"))
    child = int(call_tool(gateway, provider, "docs__child"))
    gateway.kill()
    time.sleep(0.2)
    assert is_running(server)
    gateway.start()
    until(lambda: not is_running(server) and not is_running(child), "they still run")
    until(lambda: "mcp servers of an earlier process were ended" in gateway.log, "nobody says so")


def test_a_reload_adds_and_removes_servers(start_gateway: StartGateway, provider: ScriptedProvider):
    gateway = start_gateway(with_servers(provider.url, {"docs": scripted(**HELD)}))
    server = int(call_tool(gateway, provider, "docs__process_id"))
    gateway.write_config(with_servers(provider.url, {"other": scripted(**HELD)}))
    until(lambda: not is_running(server), "the removed server still runs")
    assert call_tool(gateway, provider, "other__echo", a=1) == '{"a": 1}'
    assert not any(name.startswith("docs__") for name in offered(provider))


def test_a_dead_server_is_left_out_and_the_others_are_offered(
    start_gateway: StartGateway, provider: ScriptedProvider
):
    servers = {
        "gone": {"command": "/no/such/program"},
        "dies": scripted("--die", **HELD),
        "silent": scripted("--silent", connectionTimeoutMs=1000),
        "closed": {"url": "http://127.0.0.1:9/mcp"},
        "docs": scripted(**HELD),
    }
    gateway = start_gateway(with_servers(provider.url, servers))
    provider.plays(says("Hello."))
    assert ask(gateway).text == "Hello."
    servers_offered = {name.partition("__")[0] for name in offered(provider) if "__" in name}
    assert servers_offered == {"docs"}
    lines = [json.loads(line) for line in gateway.log.splitlines()]
    absent = {one["server"] for one in lines if one["message"] == "mcp server not available"}
    assert absent == servers.keys() - {"docs"}
    until(lambda: "no such database" in gateway.log, "what it said is not in the log")


def test_a_server_whose_tools_are_all_denied_is_not_started(
    start_gateway: StartGateway, provider: ScriptedProvider
):
    config = with_servers(provider.url, {"docs": scripted(), "other": scripted()}, {"deny": ["docs__*"]})
    config["agents"]["list"].append({"id": "small", "tools": {"profile": "minimal"}})
    config["agents"]["list"].append({"id": "plain", "tools": {"deny": ["bundle-mcp"]}})
    gateway = start_gateway(config)
    for agent in ("small", "plain"):
        provider.plays(says("Hello."))
        assert ask(gateway, model=f"openclaw/{agent}").text == "Hello."
    assert "mcp server" not in gateway.log
    provider.plays(says("Hello."))
    ask(gateway)
    assert {name.partition("__")[0] for name in offered(provider) if "__" in name} == {"other"}


def test_what_a_hostile_server_does_is_bounded(shared: GatewayProcess, provider: ScriptedProvider):
    assert call_tool(shared, provider, "hostile__garbage") == "after garbage"
    assert call_tool(shared, provider, "hostile__wrong_answers") == "the right one"
    answers = json.loads(call_tool(shared, provider, "hostile__ask_back"))
    assert [one.get("result") for one in answers] == [{}, None, None]
    assert "more than 12 MiB" in call_tool(shared, provider, "hostile__huge")
    flooded = until(lambda: _unless_paused(call_tool(shared, provider, "hostile__flood")), "it stays paused")
    assert "floods" in flooded
    assert shared.request("GET", "/health").status == 200
    assert call_tool(shared, provider, "docs__echo", a=1) == '{"a": 1}'


def _unless_paused(text: str) -> str:
    """The result of a call; nothing while the server, which has failed, is left alone for a while."""
    return "" if "tried again in" in text else text


def test_a_server_gets_a_harmless_environment_and_a_folder_of_its_own(
    start_gateway: StartGateway, provider: ScriptedProvider
):
    env = {"MINE": "mine", "LD_PRELOAD": "/tmp/evil.so", "NODE_OPTIONS": "--require evil"}
    gateway = start_gateway(
        with_servers(provider.url, {"docs": scripted(env=env, **HELD)}), MY_SECRET="canary"
    )
    environment = json.loads(call_tool(gateway, provider, "docs__environment"))
    assert environment["MINE"] == "mine"
    assert "PATH" in environment
    assert not {"LD_PRELOAD", "NODE_OPTIONS", "MY_SECRET", "OPENCLAW_STATE_DIR"} & environment.keys()
    assert "LD_PRELOAD" in gateway.log
    assert call_tool(gateway, provider, "docs__folder") == str(gateway.state / "mcp")


def test_a_call_is_cancelled_when_its_client_leaves(shared: GatewayProcess, provider: ScriptedProvider):
    provider.plays(calls("slow__sleep", {"seconds": 3}))
    with shared.stream("Do it", events="tools") as response:
        read_until(response, b"at work")
    until(lambda: shared.metric("openclaw_active_runs") == 0, "the run goes on")
    assert json.loads(call_tool(shared, provider, "slow__cancelled")) != []


def test_a_tool_is_called_without_a_model(shared: GatewayProcess):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}

    def invoke(tool: str) -> Answer:
        body = {"tool": tool, "args": {"a": 1}, "agentId": "main"}
        return shared.request("POST", "/tools/invoke", body, headers, timeout=90)

    answer = invoke("docs__echo")
    assert answer.status == 200, answer.body
    assert '{\\"a\\": 1}' in answer.body.decode()
    assert invoke("docs__nothing").status == 404
    assert invoke("nobody__echo").status == 404


def test_explain_says_why_a_server_is_missing(start_gateway: StartGateway, provider: ScriptedProvider):
    servers = {
        "docs": scripted(toolFilter={"exclude": ["die"]}, **HELD),
        "gone": {"command": "/no/such/program"},
    }
    gateway = start_gateway(with_servers(provider.url, servers, {"deny": ["docs__huge"]}))
    found = json.loads(gateway.command("agent", "--explain", "--json").stdout)
    assert "docs__echo" in [one["name"] for one in found["tools"]]
    assert "- docs__*: 13 tools of an MCP server" in found["systemPrompt"]["text"]
    absent = {one["name"]: one["why"] for one in found["absent"]}
    assert absent["docs__die"] == "mcp.servers.docs.toolFilter"
    assert absent["docs__huge"] == "tools.deny"
    assert "its program was not found" in absent["gone__*"]
