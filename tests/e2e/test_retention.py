"""Sessions that are too old or too many are removed, and it is said which, through a real gateway."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.conftest import StartGateway
from tests.e2e.test_sessions_http import get, keys, say
from tests.support.gateway import GatewayProcess, config_for
from tests.support.operator import operator
from tests.support.provider import PATIENCE, ScriptedProvider, wait_until

PRUNED = 'openclaw_sessions_pruned_total{reason="%s"}'


def limited(provider: ScriptedProvider, **limits: Any) -> dict[str, Any]:
    return {**config_for(provider.url), "logging": {"format": "json"}, "session": {"maintenance": limits}}


def lines(gateway: GatewayProcess) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    return [one for one in found if one["message"] == "removed by retention"]


def test_other_limits_are_kept_at_once(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(limited(provider, maxEntries=100))
    for number in range(5):
        say(gateway, "hi", f"s{number}")
    gateway.write_config(limited(provider, maxEntries=2))
    wait_until(lambda: len(keys(get(gateway, ""))) == 2, PATIENCE, "the oldest to go")
    assert keys(get(gateway, "")) == ["agent:main:s4", "agent:main:s3"]
    wait_until(lambda: len(lines(gateway)) == 1, PATIENCE, "the line about it")
    [line] = lines(gateway)
    assert (line["sessions_by_count"], line["sessions_by_age"], line["max_entries"]) == (3, 0, 2)
    assert gateway.metric(PRUNED % "count") == 3
    removed = {"age": 0, "count": 3, "hidden": 0, "approvals": 0}

    def told() -> Any:
        return gateway.request("GET", "/ready?verbose").json["retention"]

    wait_until(lambda: told()["removed"] == removed, PATIENCE, "the readiness to tell of it")
    assert told()["lastRunAt"] > 0
    with operator(gateway) as client:
        assert client.call("status")["retention"]["removed"] == removed


def test_sessions_go_when_they_are_old(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(limited(provider, pruneAfter="2s"))
    say(gateway, "hi", "notes")
    wait_until(lambda: keys(get(gateway, "")) == [], PATIENCE, "the session to go")
    wait_until(lambda: len(lines(gateway)) == 1, PATIENCE, "the line about it")
    assert lines(gateway)[0]["sessions_by_age"] == 1
    assert gateway.metric(PRUNED % "age") == 1
