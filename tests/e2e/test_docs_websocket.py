"""The Python client of docs/websocket.md, as a reader would paste it; only the port and the token differ.

The JavaScript one is run in tests/interop.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.test_readme import pasted
from tests.support.documents import blocks
from tests.support.gateway import GatewayProcess, clean_environment
from tests.support.provider import ScriptedProvider, respond, says

(CLIENT,) = (
    block for block in blocks() if block.document == "docs/websocket.md" and block.language == "python"
)


def run(gateway: GatewayProcess, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", pasted(CLIENT, gateway)]
    environment = clean_environment(HOME=str(folder))
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60)


def test_the_client_prints_the_answer(
    gateway: GatewayProcess, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.plays(says("2+2 ", "is ", "4."))
    done = run(gateway, tmp_path)
    assert (done.returncode, done.stdout) == (0, "2+2 is 4.\n"), done.stderr
    assert provider.messages()[-1] == ("user", "What is 2+2?")


def test_the_client_tells_a_failure(
    gateway: GatewayProcess, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.always([respond(400, {"error": {"message": "no such thing"}})])
    done = run(gateway, tmp_path)
    assert done.returncode == 1
    assert "RuntimeError: " in done.stderr
