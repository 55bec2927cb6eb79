"""One of OpenClaw's published command lines, with a home of its own, set to talk to a gateway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.interop.installed import clients, node_with_packages
from tests.support.gateway import TOKEN, GatewayProcess, clean_environment

NEWEST = "openclaw-2026.9.6"
VERSIONS = (NEWEST, "openclaw-2026.3.13", "clawdbot-2026.1.24-3")


class Client:
    """`version` is the name it is installed under."""

    def __init__(self, version: str, home: Path, gateway: GatewayProcess, token: str = TOKEN) -> None:
        self.version = version
        self.package = clients() / version
        self.gateway = gateway
        node, _ = node_with_packages()
        self._command = [str(node), str(self.package / self._entry())]
        self._environment = self._at_home(home, token)
        self._home = home

    @property
    def family(self) -> str:
        return self.version.partition("-")[0]

    def run(self, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *arguments],
            cwd=self._home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def says(self, *arguments: str) -> str:
        """What a command printed that must succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.gateway.log[-4000:]}"
        return done.stdout.strip()

    def tells(self, *arguments: str) -> Any:
        """The JSON of a command that must succeed."""
        return json.loads(self.says(*arguments, "--json"))

    def calls(self, method: str, **params: Any) -> Any:
        """`gateway call`: the method's payload."""
        return self.tells("gateway", "call", method, "--params", json.dumps(params))

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that is spoken to over its standard streams."""
        with (self._home / "complaints.txt").open("a") as complaints:
            process = subprocess.Popen(
                [*self._command, *arguments],
                cwd=self._home,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                start_new_session=True,  # what runs in the end is a child of what is started
            )
        with process:
            try:
                yield process
            finally:
                os.killpg(process.pid, signal.SIGKILL)

    def _entry(self) -> str:
        entry: str = json.loads((self.package / "package.json").read_text())["bin"][self.family]
        return entry

    def _at_home(self, home: Path, token: str) -> dict[str, str]:
        """Its configuration written, and the environment that makes it look nowhere else."""
        address = f"ws://127.0.0.1:{self.gateway.port}"
        config = {
            "gateway": {"mode": "remote", "remote": {"url": address, "token": token}},
            "logging": {"file": str(home / "client.log")},
            "plugins": {"enabled": False},  # channels: loading them takes a minute
        }
        (home / "tmp").mkdir(parents=True)
        path = home / "config.json"
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        prefix = self.family.upper()
        return clean_environment(
            **{f"{prefix}_STATE_DIR": str(home / "state"), f"{prefix}_CONFIG_PATH": str(path)},
            HOME=str(home),
            TMPDIR=str(home / "tmp"),
            NO_COLOR="1",
            COLUMNS="200",
        )
