"""`bin/serve` without a configuration: a random token, made once, and a question ready to be pasted."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.gateway import ROOT, clean_environment, free_port
from tests.support.provider import wait_until

START_SECONDS = 60
PATIENCE = 250  # seconds, for the model yields to everything else on the machine
OPEN = [{"PORT": "{port}"}, {"GUNICORN_CMD_ARGS": "-b 0.0.0.0:{port}"}]


class Served:
    def __init__(self, folder: Path, port: int) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.log = folder / "serve.log"
        self.environment = clean_environment(HOME=str(self.home), OPENCLAW_GATEWAY_PORT=str(port))

    @property
    def token_file(self) -> Path:
        return self.home / ".openclaw" / "gateway-token"

    def spawn(self, **environment: str) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [str(ROOT / "bin" / "serve")],
                env={**self.environment, **environment},
                cwd=self.home,
                stdout=log,
                stderr=log,
            )

    @contextmanager
    def running(self, **environment: str) -> Iterator[str]:
        """What it has written once it is listening."""
        process = self.spawn(**environment)
        try:
            wait_until(
                lambda: process.poll() is not None or "Listening at" in self.log.read_text(),
                START_SECONDS,
                "gateway",
            )
            assert process.poll() is None, self.log.read_text()
            yield self.log.read_text()
        finally:
            process.terminate()
            process.wait(40)


def pasted(command: str, served: Served) -> str:
    done = subprocess.run(
        ["bash", "-euc", f"{command} --silent --fail-with-body --max-time {PATIENCE}"],
        env=served.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE + 30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_the_first_start_makes_a_random_token(tmp_path: Path) -> None:
    served = Served(tmp_path, free_port())
    with served.running() as written:
        token = served.token_file.read_text().strip()
        assert len(token) >= 32
        assert stat.S_IMODE(served.token_file.stat().st_mode) == 0o600
        (command,) = re.findall(r"^  curl .*\\\n.*\\\n.*$", written, re.MULTILINE)
        assert f"Bearer {token}" in command
        assert '"chat.completion"' in pasted(command, served)
        readme = command.replace(token, "$(cat ~/.openclaw/gateway-token)").replace("'Auth", '"Auth', 1)
        readme = readme.replace("gateway-token)'", 'gateway-token)"')
        assert '"chat.completion"' in pasted(readme, served)
        status = subprocess.run(
            [str(ROOT / ".venv" / "bin" / "python"), "-m", "app", "status"],
            env={**served.environment, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert status.returncode == 0, status.stderr
    with served.running() as written:
        assert f"Bearer {token}" in written
    other = Served(tmp_path / "other", free_port())
    with other.running():
        assert other.token_file.read_text().strip() != token


def test_no_token_is_made_where_there_is_a_secret(tmp_path: Path) -> None:
    served = Served(tmp_path, free_port())
    with served.running(OPENCLAW_GATEWAY_TOKEN="a-token-of-ones-own") as written:
        assert "a-token-of-ones-own" not in written
        assert "Bearer" not in written
    assert not served.token_file.exists()


@pytest.mark.parametrize("environment", OPEN, ids=lambda one: next(iter(one)))
def test_no_token_is_made_that_others_could_see_used(tmp_path: Path, environment: dict[str, str]) -> None:
    served = Served(tmp_path, free_port())
    given = {name: value.format(port=free_port()) for name, value in environment.items()}
    process = served.spawn(**given)
    assert process.wait(START_SECONDS) == os.EX_CONFIG
    assert "OPENCLAW_GATEWAY_TOKEN" in served.log.read_text()
    assert not served.token_file.exists()


@pytest.mark.parametrize("written", ["abc", "", "1.5"])
def test_it_says_that_a_worker_count_is_no_number(tmp_path: Path, written: str) -> None:
    served = Served(tmp_path, free_port())
    assert served.spawn(WEB_CONCURRENCY=written).wait(START_SECONDS) == os.EX_CONFIG
    log = served.log.read_text()
    assert f"WEB_CONCURRENCY in the environment is '{written}'" in log
    assert "Traceback" not in log
