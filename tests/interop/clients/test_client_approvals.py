"""OpenClaw's own `approvals`, as published, against this gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients.client import NEWEST, Client
from tests.support.approvals import approving_gateway, plays, result
from tests.support.gateway import GatewayProcess
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def gateway(tmp_path: Path, provider: ScriptedProvider) -> Iterator[GatewayProcess]:
    gateway = approving_gateway(tmp_path, provider.url)
    yield gateway.start()
    gateway.stop()


@pytest.fixture
def client(gateway: GatewayProcess, tmp_path: Path) -> Client:
    return Client(NEWEST, tmp_path / "home", gateway)


def test_a_command_is_listed_and_approved(client: Client, provider: ScriptedProvider) -> None:
    plays(provider, "echo $((40+2))")
    with operator(client.gateway) as starter:
        starter.call("chat.send", {"sessionKey": "notes", "message": "Do it", "idempotencyKey": "run-1"})
        asked = starter.until("exec.approval.requested")
        assert asked["id"] in client.says("approvals", "pending", "--json")
        said = client.says("approvals", "resolve", asked["id"], "allow-once")
        assert "resolved allow-once" in said
        starter.until("chat", runId="run-1", state="final")
    assert result(provider) == "42"


def test_the_allowlist_is_edited(client: Client) -> None:
    assert client.tells("approvals", "get", "--gateway")["exists"] is False
    client.says("approvals", "allowlist", "add", "--gateway", "--agent", "main", "/usr/bin/uname")
    entries = client.tells("approvals", "get", "--gateway")["file"]["agents"]["main"]["allowlist"]
    assert [one["pattern"] for one in entries] == ["/usr/bin/uname"]
    client.says("approvals", "allowlist", "remove", "--gateway", "--agent", "main", "/usr/bin/uname")
    assert "main" not in client.tells("approvals", "get", "--gateway")["file"].get("agents", {})


def test_grants_are_listed(client: Client) -> None:
    assert "No standing grants" in client.says("approvals", "grants", "list")
