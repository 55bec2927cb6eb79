"""One call of one tool, over HTTP and over a WebSocket, without a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import TOKEN, Answer, GatewayProcess, agent_config
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("invoke")
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "plan.txt").write_text("tea")
    config = agent_config("http://127.0.0.1:9/v1", workspace=str(workspace))
    config["gateway"]["tools"] = {"allow": ["write"], "deny": ["memory_*"]}
    gateway = GatewayProcess(folder, config)
    yield gateway.start()
    gateway.stop()


def invoke(gateway: GatewayProcess, body: Any, token: str = TOKEN) -> Answer:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return gateway.request("POST", "/tools/invoke", body, headers)


def test_a_tool_answers(gateway: GatewayProcess):
    for body in (
        {"tool": "read", "args": {"path": "plan.txt"}},
        {"name": "read", "tool": "x", "args": {"path": "plan.txt"}},
    ):
        answer = invoke(gateway, body)
        assert answer.status == 200
        assert answer.json == {
            "ok": True,
            "result": {"content": [{"type": "text", "text": "tea"}], "details": {}},
        }


def test_what_the_operator_allows_besides(gateway: GatewayProcess):
    answer = invoke(gateway, {"tool": "write", "args": {"path": "new.txt", "content": "x"}})
    assert answer.json["ok"] is True
    assert (gateway.folder / "workspace" / "new.txt").read_text() == "x"


@pytest.mark.parametrize("name", ["no_such", "exec", "edit", "sessions_spawn", "memory_search", "READ\n"])
def test_what_is_not_there_or_not_allowed(gateway: GatewayProcess, name: str):
    answer = invoke(gateway, {"tool": name, "args": {}})
    assert (answer.status, answer.json["ok"], answer.error["type"]) == (404, False, "not_found")
    assert answer.error["message"] == f"Tool not available: {name}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "tools.invoke requires name"),
        (b"[]", "tools.invoke requires name"),
        ({"tool": 5}, "`tool` must be a string"),
        ({"tool": "read", "args": []}, "`args` must be an object"),
        ({"tool": "read", "args": {}}, "path"),
        ({"tool": "read", "args": {"path": "none"}}, "File not found"),
        ({"tool": "read", "args": {"path": "plan.txt"}, "agentId": "ghost"}, "unknown agent"),
        ({"tool": "read", "args": {"path": "plan.txt"}, "sessionKey": "agent:ghost:x"}, "unknown agent"),
        (b"{", "not valid JSON"),
    ],
)
def test_mistakes(gateway: GatewayProcess, body: Any, message: str):
    answer = invoke(gateway, body)
    assert (answer.status, answer.json["ok"]) == (400, False)
    assert message in answer.error["message"]


def test_what_a_bound_forbids(gateway: GatewayProcess):
    answer = invoke(gateway, {"tool": "read", "args": {"path": "/etc/passwd"}})
    assert (answer.status, answer.error["type"]) == (403, "tool_call_blocked")
    assert "outside of the workspace" in answer.error["message"]


def test_a_secret_is_needed(gateway: GatewayProcess):
    assert invoke(gateway, {"tool": "read"}, "wrong").status == 401


def test_the_same_over_a_websocket(gateway: GatewayProcess):
    with operator(gateway) as peer:
        found = peer.call("tools.invoke", {"name": "read", "args": {"path": "plan.txt"}})
        assert found == {
            "ok": True,
            "toolName": "read",
            "output": {"content": [{"type": "text", "text": "tea"}], "details": {}},
        }
        missing = peer.call("tools.invoke", {"name": "exec", "args": {"command": "id"}})
        assert (missing["ok"], missing["error"]["message"]) == (False, "Tool not available: exec")
        catalog = peer.call("tools.catalog", {})
        names = {tool["id"] for group in catalog["groups"] for tool in group["tools"]}
        assert {"read", "write", "web_fetch", "memory_search"} <= names
        assert [one["id"] for one in catalog["profiles"]] == ["minimal", "coding", "messaging", "full"]


def test_the_tools_of_a_session(gateway: GatewayProcess):
    with operator(gateway) as peer:
        peer.call("sessions.create", {"key": "one"})
        found = peer.call("tools.effective", {"sessionKey": "one"})
        assert "web_search" in [one["id"] for one in found["absent"]]
        assert "read" in {tool["id"] for group in found["groups"] for tool in group["tools"]}


def test_the_agent_has_to_be_named_where_there_are_several(provider: ScriptedProvider, tmp_path: Path):
    config = agent_config(provider.url)
    config["agents"]["list"].append({"id": "other", "workspace": str(tmp_path / "other")})
    gateway = GatewayProcess(tmp_path, config)
    gateway.start()
    try:
        assert invoke(gateway, {"tool": "ls"}).status == 400
        assert invoke(gateway, {"tool": "ls", "agentId": "other"}).json["ok"] is True
    finally:
        gateway.stop()
