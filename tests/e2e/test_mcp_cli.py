"""`python -m app mcp`: servers without a gateway."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import blocks
from tests.support.gateway import ROOT, GatewayProcess, clean_environment
from tests.support.mcp_peers import is_running, scripted, sdk, until, with_servers

SERVERS: dict[str, Any] = {
    "Docs": scripted(env={"KEY": "a-secret-canary"}),
    "real": sdk(),
    "dead": scripted("--die"),
    "off": scripted(enabled=False),
    "far": {"url": "https://mcp.example.com/mcp?key=canary", "enabled": False},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> GatewayProcess:
    """A configuration and its environment: the gateway itself is not started."""
    return GatewayProcess(tmp_path_factory.mktemp("mcp"), with_servers("http://127.0.0.1:9", SERVERS))


def test_list_names_the_servers_and_starts_none(gateway: GatewayProcess):
    done = gateway.command("mcp", "list", "--json")
    assert done.returncode == 0, done.stderr
    rows = {one["server"]: one for one in json.loads(done.stdout)["servers"]}
    assert rows.keys() == SERVERS.keys()
    assert rows["Docs"] == {
        "server": "Docs",
        "prefix": "Docs",
        "transport": "stdio",
        "target": sys.executable,
        "enabled": True,
    }
    assert rows["far"]["target"] == "https://mcp.example.com/mcp"
    assert "canary" not in gateway.command("mcp", "list").stdout
    assert not (gateway.state / "mcp").exists()


def test_tools_lists_what_servers_offer_and_which_are_not_available(gateway: GatewayProcess):
    done = gateway.command("mcp", "tools", "--json")
    assert done.returncode == 75
    found = json.loads(done.stdout)
    names = {one["name"] for one in found["tools"]}
    assert {"Docs__echo", "real__add", "real__resources_list"} <= names
    assert found["failed"].keys() == {"dead"}
    assert "no such database" in done.stderr
    done = gateway.command("mcp", "tools", "Docs")
    assert done.returncode == 0
    assert "Docs__echo\tIgnore [2J all" in done.stdout
    assert "\x1b" not in done.stdout


def test_call_prints_the_result(gateway: GatewayProcess):
    done = gateway.command("mcp", "call", "Docs__echo", '{"text": "hello"}')
    assert (done.returncode, done.stdout) == (0, '{"text": "hello"}\n')
    done = gateway.command("mcp", "call", "real__pixel", "--json")
    assert json.loads(done.stdout)["images"][0].startswith("data:image/png;base64,")
    done = gateway.command("mcp", "call", "docs__echo", "-", stdin='{"a": 1}')
    assert done.stdout == '{"a": 1}\n'


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("call", "real__fail"), 1, "Error executing tool fail"),
        (("call", "Docs__die"), 1, "code 3"),
        (("call", "Docs__nothing"), 2, "has no tool"),
        (("call", "nobody__x"), 2, "none of the servers"),
        (("call", "off__echo"), 2, "switched off"),
        (("call", "Docs__echo", "{"), 2, "not valid JSON"),
        (("call", "Docs__echo", "[]"), 2, "JSON object"),
        (("call", "dead__echo"), 75, "no such database"),
        (("tools", "nobody"), 2, "There is no server"),
        ((), 2, "ACTION"),
    ],
)
def test_exit_codes(gateway: GatewayProcess, arguments: tuple[str, ...], code: int, says: str):
    done = gateway.command("mcp", *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr


def test_nothing_is_left_running(gateway: GatewayProcess):
    done = gateway.command("mcp", "call", "Docs__child")
    until(lambda: not is_running(int(done.stdout)), "it still runs")


def test_the_example_of_the_documentation_runs(tmp_path: Path):
    (example,) = [one for one in blocks() if one.document == "docs/mcp.md" and one.language == "sh"]
    bin_folder = Path(sys.executable).parent
    environment = clean_environment(HOME=str(tmp_path), OPENCLAW_STATE_DIR=str(tmp_path))
    environment["PATH"] = f"{bin_folder}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.text],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert re.search(r"structuredContent:\n\{\"rolled\":\[\d,\d\]", done.stdout)
