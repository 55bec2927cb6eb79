"""The examples of README.md and docs/, as a reader would paste them; only the port and the token differ.
Those that read the token from its file find one in their home directory.

The gateway has the agents `main` and `beta` with their tools, and a model that repeats the last message.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import Block, blocks
from tests.support.gateway import ROOT, TOKEN, GatewayProcess, agent_config, clean_environment
from tests.support.provider import ScriptedProvider

ADDRESS = re.compile(r"(127\.0\.0\.1|localhost):18789")
TOKENS = re.compile(r"YOUR_TOKEN")
SHELLS = ("sh", "bash")

# curl, telling each answer's status on standard error.
CURL = """#!/bin/sh
exec {curl} "$@" --max-time 30 -w '%{{stderr}}\\nstatus %{{http_code}}\\n'
"""

for_the_gateway = [block for block in blocks() if block.runs and ADDRESS.search(block.text)]
with_curl = [block for block in for_the_gateway if block.language in SHELLS and "curl" in block.text]
in_python = [block for block in for_the_gateway if block.language == "python"]


@pytest.fixture(scope="module")
def gateway(
    _shared_provider: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    config = agent_config(_shared_provider.url)
    config["agents"]["list"].append({"id": "beta"})
    gateway = GatewayProcess(tmp_path_factory.mktemp("documents"), config)
    yield gateway.start()
    gateway.stop()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    curl = shutil.which("curl")
    assert curl is not None, "curl is not installed. On Debian and Ubuntu: apt install curl"
    telling = tmp_path / "bin" / "curl"
    telling.parent.mkdir()
    telling.write_text(CURL.format(curl=curl))
    telling.chmod(0o755)
    (tmp_path / ".openclaw").mkdir()
    (tmp_path / ".openclaw" / "gateway-token").write_text(TOKEN + "\n")
    path = f"{telling.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return clean_environment(PATH=path, HOME=str(tmp_path), OPENCLAW_GATEWAY_TOKEN=TOKEN)


def pasted(block: Block, gateway: GatewayProcess) -> str:
    return TOKENS.sub(TOKEN, ADDRESS.sub(f"127.0.0.1:{gateway.port}", block.text))


def test_the_readme_has_examples() -> None:
    assert sum(block.document == "README.md" for block in with_curl) >= 3
    assert [block.document for block in in_python if block.document == "README.md"]


def test_no_example_rests_on_a_published_token() -> None:
    written = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").iterdir()]
    assert [str(path) for path in written if "try-me-on-loopback" in path.read_text()] == []
    readme = [block for block in for_the_gateway if block.document == "README.md"]
    assert all("~/.openclaw/gateway-token" in block.text for block in readme)


@pytest.mark.parametrize("block", with_curl, ids=str)
def test_curl(block: Block, gateway: GatewayProcess, environment: dict[str, str], tmp_path: Path) -> None:
    command = ["bash", "-euo", "pipefail", "-c", pasted(block, gateway)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{block}: {done.stderr}"
    statuses = re.findall(r"^status (\d+)$", done.stderr, re.MULTILINE)
    assert statuses, f"{block}: {done.stderr}"
    assert all(status.startswith("2") for status in statuses), f"{block}: {statuses} {done.stdout}"


@pytest.mark.parametrize("block", in_python, ids=str)
def test_python(block: Block, gateway: GatewayProcess, environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", pasted(block, gateway)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{block}: {done.stderr}"
    assert done.stdout.strip()
