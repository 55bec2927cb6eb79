"""The Control UI pages of OpenClaw's packages, in headless Chromium, against this gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.interop.clients.client import VERSIONS
from tests.interop.clients.page import served
from tests.interop.installed import CLIENTS, clients, node_with_packages
from tests.support.gateway import TOKEN, GatewayProcess, clean_environment
from tests.support.provider import ScriptedProvider, pause, says, text

pytestmark = pytest.mark.timeout(900)

Shown = list[list[str]]  # (who, what) of each message on the page


def chat(gateway: GatewayProcess, version: str, folder: Path, *questions: str) -> list[Shown]:
    """What the page shows after each question."""
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is not installed. On Debian and Ubuntu: apt install chromium"
    packages = clients()
    (folder / "node_modules").symlink_to(packages)
    script = shutil.copy(CLIENTS / "chat.mjs", folder)
    node, _ = node_with_packages()
    credential = f"?token={TOKEN}" if version.startswith("clawdbot") else f"#token={TOKEN}"
    with served(packages / version / "dist" / "control-ui", gateway.port) as site:
        done = subprocess.run(
            [str(node), str(script), chromium, f"{site}/{credential}"],
            input="".join(f"{question}\n" for question in questions),
            env=clean_environment(HOME=str(folder)),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    shown: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    return shown


@pytest.mark.parametrize("version", VERSIONS)
def test_a_conversation_shows_each_message_once(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path, version: str
) -> None:
    provider.plays(
        [text("The answer"), pause(0.3), text(" comes"), pause(0.3), *says(" in pieces.")],
        says("So does the second."),
    )
    first, second = chat(start_gateway(), version, tmp_path, "A question for the page", "And another")
    assert first == [["user", "A question for the page"], ["assistant", "The answer comes in pieces."]]
    assert second == [*first, ["user", "And another"], ["assistant", "So does the second."]]
