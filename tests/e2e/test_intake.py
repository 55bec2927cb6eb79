"""The same words through all five entrances become the same request."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess, config_for
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider, says

SESSION = "agent:beta:entrances"
SETTINGS = {"model": "test/other", "thinkingLevel": "high"}


def over_http(gateway: GatewayProcess, text: str) -> None:
    answer = gateway.chat(
        {"model": "openclaw:beta", "messages": [{"role": "user", "content": text}]},
        x_openclaw_session_key=SESSION,
    )
    assert answer.status == 200, answer.body


def over_agent(gateway: GatewayProcess, text: str) -> None:
    with operator(gateway) as client:
        client.call("agent", {"message": text, "sessionKey": SESSION, "idempotencyKey": str(uuid.uuid4())})


def over_chat_send(gateway: GatewayProcess, text: str) -> None:
    with operator(gateway) as client:
        run_id = str(uuid.uuid4())
        client.call("chat.send", {"message": text, "sessionKey": SESSION, "idempotencyKey": run_id})
        client.until("chat", runId=run_id, state="final")


def over_sessions_create(gateway: GatewayProcess, text: str) -> None:
    with operator(gateway) as client:
        created = client.call("sessions.create", {"key": SESSION, "message": text})
        client.until("chat", runId=created["runId"], state="final")


def over_the_command_line(gateway: GatewayProcess, text: str) -> None:
    done = gateway.command("agent", "--local", "--agent", "beta", "--session-key", SESSION, "--message", text)
    assert done.returncode == 0, done.stderr


ENTRANCES = [over_http, over_agent, over_chat_send, over_sessions_create, over_the_command_line]


@pytest.fixture
def gateway(start_gateway: StartGateway, provider: ScriptedProvider) -> GatewayProcess:
    config = config_for(provider.url)
    config["models"]["providers"]["test"]["models"] = [{"id": "test"}, {"id": "other"}]
    return start_gateway(config)


def test_the_same_words_become_the_same_request(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.always(says("fine"), model="other")
    with operator(gateway) as client:
        client.call("sessions.patch", {"key": SESSION, **SETTINGS})
    for entrance in ENTRANCES:
        entrance(gateway, "hello")
    first, *others = [without_history(request) for request in provider.requests]
    assert first["model"] == "other"
    assert first["reasoning_effort"] == "high"
    assert first["messages"] == [("system", "You are beta."), ("user", "hello")]
    assert others == [first] * 4
    # Each continued the conversation of the ones before.
    assert [len(request["messages"]) for request in provider.requests] == [2, 4, 6, 8, 10]


def without_history(request: dict[str, Any]) -> dict[str, Any]:
    """The request with the system message and the newest one only."""
    messages = [(message["role"], message["content"]) for message in request["messages"]]
    return {**request, "messages": [messages[0], messages[-1]]}


def test_what_a_request_says_itself_wins_over_the_session(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    with operator(gateway) as client:
        client.call("sessions.patch", {"key": SESSION, **SETTINGS})
        run_id = str(uuid.uuid4())
        client.call(
            "chat.send",
            {"message": "a", "sessionKey": SESSION, "thinking": "off", "idempotencyKey": run_id},
        )
        client.until("chat", runId=run_id, state="final")
    assert "reasoning_effort" not in provider.requests[-1]
    body = {"messages": [{"role": "user", "content": "b"}], "reasoning_effort": "low"}
    headers = {"x_openclaw_session_key": SESSION, "x_openclaw_agent_id": "beta"}
    assert gateway.chat(body, **headers, x_openclaw_model="test/test").status == 200
    assert (provider.requests[-1]["model"], provider.requests[-1]["reasoning_effort"]) == ("test", "low")


def test_a_stateless_request_knows_no_session(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    with operator(gateway) as client:
        client.call("sessions.patch", {"key": "agent:main:main", **SETTINGS})
    assert gateway.ask("hello").status == 200
    assert provider.requests[-1]["model"] == "test"
    assert "reasoning_effort" not in provider.requests[-1]
