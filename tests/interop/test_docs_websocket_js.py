"""The JavaScript client of docs/websocket.md, as pasted but for the port and the token."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_readme import pasted
from tests.support.documents import blocks
from tests.support.gateway import GatewayProcess, clean_environment
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider, pause, respond, says, text

pytestmark = pytest.mark.timeout(600)  # the first test installs Node

(CLIENT,) = (block for block in blocks() if block.document == "docs/websocket.md" and block.language == "js")


def run(gateway: GatewayProcess, js_client: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "client.mjs"
    script.write_text(pasted(CLIENT, gateway))
    return subprocess.run(
        [js_client[0], str(script)], env=clean_environment(), capture_output=True, text=True, timeout=60
    )


def test_the_client_prints_the_answer(
    gateway: GatewayProcess, provider: ScriptedProvider, js_client: list[str], tmp_path: Path
) -> None:
    with operator(gateway) as client:  # other tests leave messages without an answer in the same session
        client.call("sessions.reset", {"key": "main"})
    provider.plays([text("2+2 "), pause(0.3), *says("is 4.")])
    done = run(gateway, js_client, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2+2\n is 4.\n"
    assert provider.messages()[-1] == ("user", "What is 2+2?")


def test_the_client_tells_a_failure(
    gateway: GatewayProcess, provider: ScriptedProvider, js_client: list[str], tmp_path: Path
) -> None:
    provider.always([respond(400, {"error": {"message": "no such thing"}})])
    done = run(gateway, js_client, tmp_path)
    assert done.returncode != 0
    assert "Error: " in done.stderr
