"""OpenClaw's own command lines, as published, against this gateway."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from tests.interop.clients.client import NEWEST, Client
from tests.support.gateway import TOKEN, GatewayProcess
from tests.support.provider import ScriptedProvider, respond, says

pytestmark = pytest.mark.timeout(900)  # the first test installs the clients


def test_agent_prints_the_answer(client: Client, provider: ScriptedProvider) -> None:
    provider.plays(says("The sun ", "is up.\n", "Good morning."))
    said = client.says("agent", "--agent", "main", "--message", "Wake me")
    assert said.endswith("The sun is up.\nGood morning.")
    assert provider.messages()[0] == ("system", "You are main.")
    assert provider.messages()[-1] == ("user", "Wake me")
    assert len(provider.requests) == 1


def test_agent_tells_the_run_as_json_and_keeps_the_session(
    client: Client, provider: ScriptedProvider
) -> None:
    session = str(uuid.uuid4())
    client.says("agent", "--session-id", session, "--message", "one")
    answer = client.tells("agent", "--session-id", session, "--message", "two")
    assert (answer["status"], answer["summary"]) == ("ok", "completed")
    assert [one["text"] for one in answer["result"]["payloads"]] == ["echo: two"]
    meta = answer["result"]["meta"]["agentMeta"]
    assert (meta["provider"], meta["model"]) == ("test", "test")
    assert (meta["usage"]["input"], meta["usage"]["output"]) == (7, 2)
    assert provider.messages()[1:] == [("user", "one"), ("assistant", "echo: one"), ("user", "two")]


def test_agent_tells_of_a_providers_failure(client: Client, provider: ScriptedProvider) -> None:
    provider.always([respond(400, {"error": {"message": "out of order"}})])
    done = client.run("agent", "--agent", "main", "--message", "hi")
    assert "out of order" in done.stdout + done.stderr


def test_health(client: Client) -> None:
    assert "main" in client.says("health")
    answer = client.tells("health")
    assert answer["ok"] is True
    assert answer["defaultAgentId"] == "main"
    assert [one["agentId"] for one in answer["agents"]] == ["main", "beta"]


def test_status_finds_the_gateway(client: Client) -> None:
    answer = client.tells("status")["gateway"]
    assert answer["url"] == f"ws://127.0.0.1:{client.gateway.port}"
    assert answer["reachable"] is True
    assert not answer["error"]
    shown = re.sub(r"\W+", " ", client.says("status"))  # without its frames and line ends
    assert re.search(r" reachable \d+ ?ms ", shown), shown


def test_a_method_is_called(client: Client) -> None:
    key, run_id = f"agent:main:{uuid.uuid4()}", str(uuid.uuid4())
    sent = client.calls("chat.send", sessionKey=key, message="hi", idempotencyKey=run_id)
    assert sent == {"runId": run_id, "status": "started"}
    assert client.calls("agent.wait", runId=run_id, timeoutMs=20000)["status"] == "ok"
    messages = client.calls("chat.history", sessionKey=key)["messages"]
    assert [one["role"] for one in messages] == ["user", "assistant"]


def test_an_unknown_method_is_named(client: Client) -> None:
    done = client.run("gateway", "call", "no.such.method", "--json")
    assert done.returncode != 0
    assert "unknown method: no.such.method" in done.stdout + done.stderr


def test_a_wrong_token_is_refused(client: Client, gateway: GatewayProcess, tmp_path: Path) -> None:
    stranger = Client(client.version, tmp_path / "stranger", gateway, token=f"not-{TOKEN}")
    done = stranger.run("gateway", "call", "health", "--json")
    assert done.returncode != 0
    assert "unauthorized" in done.stdout + done.stderr
    assert "a fault of the gateway" not in gateway.log


def test_logs(client: Client) -> None:
    client.gateway.ask("a line for the log")
    assert "request answered" in client.says("logs", "--limit", "20")


def test_presence_and_heartbeat(client: Client) -> None:
    assert "cli" in {one["mode"] for one in client.tells("system", "presence")}
    assert client.says("system", "heartbeat", "last", "--json") == "null"


def test_the_newest_asks_for_models_and_skills_too(gateway: GatewayProcess, tmp_path: Path) -> None:
    client = Client(NEWEST, tmp_path, gateway)
    assert "test/test" in [one["key"] for one in client.tells("models", "list")["models"]]
    assert client.tells("skills", "list")["skills"] == []
