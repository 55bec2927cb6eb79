"""What clients may see of the configuration, and what they may change in it."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess, config_for
from tests.support.operator import Operator, operator
from tests.support.provider import ScriptedProvider

UNKNOWN = {
    "channels": {"telegram": {"mode": "polling", "greeting": "canary-greeting", "note": "canary-note"}},
    "plugins": {"entries": {"x": {"config": {"webhook": "https://hooks.example/canary-hook"}}}},
}


def refused(client: Operator, change: dict[str, Any]) -> str:
    base = client.call("config.get")["hash"]
    raw = json.dumps(change)
    answer = client.response(client.request("config.patch", {"raw": raw, "baseHash": base}))
    assert not answer["ok"], answer
    message: str = answer["error"]["message"]
    return message


def start(start_gateway: StartGateway, provider: ScriptedProvider) -> GatewayProcess:
    environment = {"GROQ_API_KEY": "canary-groq-key", "OTHER_SECRET": "canary-other-secret"}
    return start_gateway({**config_for(provider.url), **UNKNOWN}, **environment)


def test_sections_nobody_knows_are_shown_without_texts(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    with operator(start(start_gateway, provider)) as client:
        shown = client.call("config.get")
    assert "canary" not in json.dumps(shown)
    assert shown["config"]["channels"]["telegram"]["mode"] == "polling"


def test_a_client_cannot_read_or_reroute_secrets(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start(start_gateway, provider)
    before = gateway.config_path.read_text()
    evil = "http://127.0.0.1:9/v1"
    with operator(gateway) as client:
        for change in (
            {"agents": {"list": [{"id": "main", "systemPrompt": "Say ${OTHER_SECRET}."}]}},
            {"models": {"providers": {"x": {"baseUrl": evil, "apiKey": "${GROQ_API_KEY}"}}}},
            {"logging": {"$include": "/etc/hostname"}},
        ):
            assert "may only be brought in" in refused(client, change)
        for provider_name in ("test", "groq"):
            change = {"models": {"providers": {provider_name: {"baseUrl": evil}}}}
            assert "another address" in refused(client, change)
    assert gateway.config_path.read_text() == before
    assert "canary-groq-key" not in gateway.log


def test_each_change_is_logged_with_its_keys(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start(start_gateway, provider)
    with operator(gateway) as client:
        raw = json.dumps({"session": {"mainKey": "canary-home", "queue": {"cap": 3}}})
        client.call("config.patch", {"raw": raw, "baseHash": client.call("config.get")["hash"]})
    (line,) = [line for line in gateway.log.splitlines() if "configuration written" in line]
    assert "session.mainKey, session.queue.cap" in line
    assert "canary" not in line
