"""The Control UI pages of OpenClaw's packages, in headless Chromium, against this gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.test_tool_sessions import APP, calls
from tests.interop.clients.client import VERSIONS
from tests.interop.clients.page import served
from tests.interop.installed import CLIENTS, clients, node_with_packages
from tests.support.gateway import TOKEN, GatewayProcess, agent_config, clean_environment
from tests.support.provider import ScriptedProvider, pause, says, text

pytestmark = pytest.mark.timeout(900)

Shown = list[list[str]]  # (who, what) of each message on the page


def chat(gateway: GatewayProcess, version: str, folder: Path, *questions: str) -> list[Shown]:
    """What the page shows after each question."""
    lines = on_page("chat.mjs", gateway, version, folder, "".join(f"{question}\n" for question in questions))
    shown: list[Any] = [json.loads(line) for line in lines]
    return shown


def on_page(
    script: str, gateway: GatewayProcess, version: str, folder: Path, questions: str, *more: str
) -> list[str]:
    """What a script says that works on the page."""
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is not installed. On Debian and Ubuntu: apt install chromium"
    packages = clients()
    (folder / "node_modules").symlink_to(packages)
    copy = shutil.copy(CLIENTS / script, folder)
    node, _ = node_with_packages()
    credential = f"?token={TOKEN}" if version.startswith("clawdbot") else f"#token={TOKEN}"
    with served(packages / version / "dist" / "control-ui", gateway.port) as site:
        done = subprocess.run(
            [str(node), str(copy), chromium, f"{site}/{credential}", *more],
            input=questions,
            env=clean_environment(HOME=str(folder)),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


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


WORDS = ("First I look around.", "Now I say it.", "All is done.")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_work_of_an_agent_is_shown_and_no_word_lost_or_repeated(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path, version: str
) -> None:
    provider.plays(
        calls(("c1", "tell", {"times": 4, "seconds": 1, "size": 20}), before=WORDS[0]),
        calls(("c2", "say", {"text": "hello result"}), before=WORDS[1]),
        [text("All "), pause(0.3), *says("is done.")],
    )
    gateway = start_gateway(agent_config(provider.url), app=APP)
    [line] = on_page("tools.mjs", gateway, version, tmp_path, "Do the thing", WORDS[-1])
    seen: dict[str, Any] = json.loads(line)
    assert not seen["stillWorks"]
    assert max(seen["opened"].count(word) for word in WORDS) == 1, seen["opened"]
    assert [seen["again"].count(word) for word in WORDS] == [1, 1, 1], seen["again"]
    assert seen["settled"].count(WORDS[-1]) == 1
    assert any("tell" in one.lower() for one in seen["working"][:-1] if WORDS[-1] not in one) == (
        not version.startswith("clawdbot")
    ), seen["working"]
    assert "say" in seen["opened"].lower()
