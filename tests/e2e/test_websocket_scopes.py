"""Nobody calls what they may not: a walk over every method there is."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from app.auth.method_scopes import METHOD_SCOPES
from app.control.commands import COMMAND_METHODS, COMMANDS
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


def test_without_a_scope_nothing_is_allowed(gateway: GatewayProcess) -> None:
    names = methods(gateway)
    assert len(names) > 40
    with operator(gateway, scopes=["operator.talk"]) as client:
        assert {name for name in names if not refused(client, name)} == OPEN


def test_before_connect_nothing_is_answered(gateway: GatewayProcess) -> None:
    for name in ("health", "config.get", "config.set", "agent", "sessions.list"):
        with Operator(gateway) as client:
            client.receive()
            error = client.refusal(name, {})
            assert error["message"] == "invalid handshake: first request must be connect"
            assert client.close_code()[0] == 1008


def test_the_read_scope_changes_nothing(gateway: GatewayProcess) -> None:
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


def test_a_node_is_no_operator(gateway: GatewayProcess) -> None:
    names = methods(gateway)
    with operator(gateway, role="node", scopes=["operator.admin"]) as client:
        for name in names:
            answer = client.response(client.request(name, {}))
            assert answer["error"]["message"] == "unauthorized role: node"


@pytest.mark.parametrize(
    "scopes",
    [
        *("operator.read", "", {"operator.read": True}, {}, 1, True, False, None),
        *([1], ["operator.read", None], [""], [" "], [["operator.read"]], [{"scope": "operator.read"}]),
    ],
)
def test_malformed_scopes_are_an_error_and_no_admin(gateway: GatewayProcess, scopes: Any) -> None:
    params = {**connect_params(), "scopes": scopes}
    with Operator(gateway) as client:
        client.receive()
        error = client.refusal("connect", params)
        assert error["code"] == "INVALID_REQUEST"
        assert error["message"].startswith("invalid connect params: at /scopes")
        assert client.close_code()[0] == 1008


def test_unknown_scopes_allow_nothing_and_none_named_allow_all(gateway: GatewayProcess) -> None:
    with operator(gateway, scopes=["admin", "operator.*", "OPERATOR.ADMIN"]) as client:
        assert client.refusal("status", {})["message"] == "missing scope: operator.read"
    with operator(gateway, scopes=[]) as client:
        assert client.call("logs.tail")["lines"] is not None


def test_only_who_may_read_gets_events_of_runs(gateway: GatewayProcess) -> None:
    with (
        operator(gateway) as speaker,
        operator(gateway, scopes=["operator.read"]) as reader,
        operator(gateway, scopes=["operator.write"]) as writer,
        operator(gateway, scopes=["operator.approvals", "operator.pairing"]) as deaf,
    ):
        params = {"sessionKey": "said", "message": "hi", "idempotencyKey": str(uuid.uuid4())}
        speaker.call("chat.send", params)
        for client in (speaker, reader, writer):
            client.until("chat", runId=params["idempotencyKey"], state="final")
        speaker.call("chat.inject", {"sessionKey": "said", "message": "more"})
        for client in (reader, writer):
            assert client.until("chat", state="final")["runId"].startswith("inject-")
        deaf.call("health")
        assert [frame["event"] for frame in deaf.frames if frame["type"] == "event"] == ["connect.challenge"]


@pytest.mark.parametrize(
    ("command", "scope"),
    [
        ("/reset", "operator.admin"),
        ("/new", "operator.admin"),
        (" /NEW: ", "operator.admin"),
        ("/compact", "operator.admin"),
        ("/model test/test", None),
        ("/model", None),
        ("/status", None),
        ("/help", None),
        ("/stop", None),
        ("stop", None),
    ],
)
def test_a_command_needs_the_scope_of_the_method_it_stands_for(
    gateway: GatewayProcess, command: str, scope: str | None
) -> None:
    session = f"commands-{uuid.uuid4()}"
    params = {"sessionKey": session, "message": "keep this", "idempotencyKey": str(uuid.uuid4())}
    with operator(gateway, scopes=sorted(WRITING)) as client:
        client.call("chat.send", params)
        client.until("chat", runId=params["idempotencyKey"], state="final")
        answer = client.response(
            client.request("chat.send", {**params, "message": command, "idempotencyKey": str(uuid.uuid4())})
        )
        if scope is None:
            assert answer["ok"], answer
        else:
            assert answer["error"]["message"] == f"missing scope: {scope}"
            assert answer["error"]["details"]["missingScope"] == scope
        assert len(client.call("chat.history", {"sessionKey": session})["messages"]) == 2
    with operator(gateway, scopes=["operator.admin"]) as admin:
        last = {**params, "message": command, "idempotencyKey": str(uuid.uuid4())}
        assert admin.response(admin.request("chat.send", last))["ok"]


def test_each_command_stands_for_a_method() -> None:
    assert COMMAND_METHODS.keys() == COMMANDS.keys()
    assert set(COMMAND_METHODS.values()) <= METHOD_SCOPES.keys()
