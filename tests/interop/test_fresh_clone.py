"""What a newcomer does: clone, the README's first command, the README's first question."""

from __future__ import annotations

import http.client
import json
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from app.providers.builtin import LABEL
from tests.support.documents import blocks
from tests.support.gateway import ROOT, clean_environment, free_port
from tests.support.provider import wait_until

README_PORT = "18789"
INSTALL_SECONDS = 600

SHELL_BLOCKS = [block for block in blocks() if block.document == "README.md" and block.language == "sh"]


SERVE = SHELL_BLOCKS[0].text
ASK = next(block.text for block in SHELL_BLOCKS if "curl" in block.text)


class Newcomer:
    """Somebody with a clone, an empty home, and a free port in place of the README's."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "clone"
        self.port = free_port()
        home = folder / "home"
        home.mkdir()
        self.environment = clean_environment(HOME=str(home), OPENCLAW_GATEWAY_PORT=str(self.port))
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.clone)], check=True)

    def starts(self, command: str, log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            return subprocess.Popen(
                shlex.split(command), cwd=self.clone, env=self.environment, stdout=out, stderr=out
            )

    def pastes(self, command: str) -> str:
        command = command.replace(README_PORT, str(self.port))
        done = subprocess.run(
            ["bash", "-c", command], env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def is_served(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def processes(self) -> list[str]:
        """What runs in the clone, or from it."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                command = " ".join(process.cmdline())
                if str(self.clone) in command or str(self.clone) in process.cwd():
                    found.append(command)
        return found


@pytest.mark.timeout(INSTALL_SECONDS + 180)
def test_a_fresh_clone_serves_and_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newcomer, log = Newcomer(tmp_path), tmp_path / "log"
    begun = time.monotonic()
    server = newcomer.starts(SERVE, log)
    try:
        wait_until(lambda: server.poll() is not None or newcomer.is_served(), INSTALL_SECONDS, "server")
        assert server.poll() is None, log.read_text()
        served = time.monotonic()
        answer = json.loads(newcomer.pastes(ASK))["choices"][0]["message"]["content"]
        answered = time.monotonic()
        assert answer.strip()
        assert not answer.startswith(LABEL)
        assert any("app.providers.local.serve" in command for command in newcomer.processes())
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(40)
    assert code == 0, log.read_text()
    assert newcomer.processes() == []
    with capsys.disabled():
        print(f"\nserved after {served - begun:.1f} s, answered {answered - served:.1f} s later: {answer!r}")
