"""Who gets the events of an agent's tool calls (docs/websocket.md#which-events-a-connection-gets)."""

from __future__ import annotations

import uuid
from typing import Any

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess, config_for
from tests.support.operator import Frame, Operator, operator
from tests.support.provider import ScriptedProvider
from tests.support.tool_events_wsgi import CALL

SESSION = "tool-events"


def tool_events(client: Operator, run_id: str) -> list[Frame]:
    """The data of the tool events of a run, all of which the client has received."""
    client.until("chat", runId=run_id, state="final")
    return [one["data"] for one in client.events("agent") if one["stream"] == "tool"]


def start_run(client: Operator) -> str:
    run_id = str(uuid.uuid4())
    client.call("chat.send", {"sessionKey": SESSION, "message": "hi", "idempotencyKey": run_id})
    return run_id


def gateway_with_tools(start_gateway: StartGateway, provider: ScriptedProvider) -> GatewayProcess:
    return start_gateway(config_for(provider.url), app="tests.support.tool_events_wsgi:app")


def test_tool_events_go_to_the_connection_that_started_the_run_only(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = gateway_with_tools(start_gateway, provider)
    caps: dict[str, Any] = {"caps": ["tool-events"]}
    with operator(gateway, **caps) as starter, operator(gateway, **caps) as watcher:
        watcher.call("chat.history", {"sessionKey": SESSION})
        run_id = start_run(starter)
        start, result = tool_events(starter, run_id)
        assert start == {"phase": "start", "name": CALL.name, "toolCallId": CALL.id, "args": {"city": "Oslo"}}
        assert (result["phase"], result["toolCallId"]) == ("result", CALL.id)
        assert result["result"] == {"content": [{"type": "text", "text": "cold"}], "details": {}}
        assert tool_events(watcher, run_id) == []
        assert watcher.events("agent"), "it gets the run's other events"


def test_tool_events_need_the_capability(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = gateway_with_tools(start_gateway, provider)
    with operator(gateway) as starter, operator(gateway, caps=["tool-events"]) as watcher:
        run_id = start_run(starter)
        assert tool_events(starter, run_id) == []
        assert tool_events(watcher, run_id) == []
        assert starter.events("agent")
