"""OpenClaw's own `approvals`, as published, against this gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients.client import NEWEST, Client
from tests.interop.clients.page import served
from tests.interop.installed import CLIENTS, clients, node_with_packages
from tests.support.approvals import approving_gateway, plays, result, runs
from tests.support.gateway import TOKEN, GatewayProcess, clean_environment
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider, says

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


def test_the_control_ui_shows_a_command_and_approves_it(
    gateway: GatewayProcess, provider: ScriptedProvider, tmp_path: Path
) -> None:
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is not installed. On Debian and Ubuntu: apt install chromium"
    provider.plays(runs("echo $((40+2))"), says("It has run."))
    folder, packages = tmp_path / "page", clients()
    folder.mkdir()
    (folder / "node_modules").symlink_to(packages)
    script = shutil.copy(CLIENTS / "approve.mjs", folder)
    node, _ = node_with_packages()
    with served(packages / NEWEST / "dist" / "control-ui", gateway.port) as site:
        done = subprocess.run(
            [str(node), str(script), chromium, f"{site}/#token={TOKEN}"],
            env=clean_environment(HOME=str(folder)),
            capture_output=True,
            text=True,
            timeout=180,
        )
    assert done.returncode == 0, done.stderr
    before, after = [json.loads(line) for line in done.stdout.splitlines()]
    assert "echo $((40+2))" in before
    assert "Exec approval needed" in before
    assert str((tmp_path / "work").resolve()) in before
    assert "Exec approval needed" not in after
    assert result(provider) == "42"
