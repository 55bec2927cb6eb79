"""Nobody calls what they may not: a walk over every method there is."""

from __future__ import annotations

from tests.support.gateway import GatewayProcess
from tests.support.operator import Operator, connect_params, operator

OPEN = {"health"}
READING = {"operator.read"}
WRITING = {"operator.read", "operator.write"}
CHANGES = ("config.set", "config.patch", "config.apply", "sessions.delete", "sessions.reset")


def methods(gateway: GatewayProcess) -> list[str]:
    with Operator(gateway) as client:
        client.receive()
        names: list[str] = client.call("connect", connect_params())["features"]["methods"]
        return names


def refused(client: Operator, name: str) -> bool:
    answer = client.response(client.request(name, {}))
    error = answer.get("error") or {}
    is_refused = str(error.get("message", "")).startswith("missing scope: operator.")
    assert not is_refused or error["details"]["code"] == "MISSING_SCOPE"
    return is_refused


def test_s3_without_a_scope_nothing_is_allowed(gateway: GatewayProcess) -> None:
    names = methods(gateway)
    assert len(names) > 40
    with operator(gateway, scopes=["operator.talk"]) as client:
        assert {name for name in names if not refused(client, name)} == OPEN


def test_s3_before_connect_nothing_is_answered(gateway: GatewayProcess) -> None:
    for name in ("health", "config.get", "config.set", "agent", "sessions.list"):
        with Operator(gateway) as client:
            client.receive()
            error = client.refusal(name, {})
            assert error["message"] == "invalid handshake: first request must be connect"
            assert client.close_code()[0] == 1008


def test_s9_who_may_read_changes_nothing(gateway: GatewayProcess) -> None:
    config = gateway.config_path.read_text()
    with operator(gateway, scopes=sorted(READING)) as client:
        for name in (*CHANGES, "agent", "chat.send", "chat.abort", "chat.inject"):
            assert refused(client, name), name
        for name in ("status", "agents.list", "sessions.list", "models.list"):
            assert not refused(client, name), name
    with operator(gateway, scopes=sorted(WRITING)) as client:
        for name in CHANGES:
            assert refused(client, name), name
        assert not refused(client, "chat.send")
        named = {"key": "s9", "label": "a name"}
        assert client.call("sessions.patch", named)["ok"]
        policy = client.refusal("sessions.patch", {"key": "s9", "sendPolicy": "deny"})
        assert policy["message"] == "missing scope: operator.admin"
    assert gateway.config_path.read_text() == config


def test_s9_a_node_is_no_operator(gateway: GatewayProcess) -> None:
    names = methods(gateway)
    with operator(gateway, role="node", scopes=["operator.admin"]) as client:
        for name in names:
            answer = client.response(client.request(name, {}))
            assert answer["error"]["message"] == "unauthorized role: node"
