"""A real gateway for tests: gunicorn as the README starts it, on a free port, with its own state."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-for-tests-0123456789"


# Below those that systems give to connections and to servers that ask for any: nobody else gets a port before
# the test's server has bound it. Tests that run at the same time choose at random.
_PORTS = range(20_000, 32_768)


def free_port() -> int:
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without anything that configures a gateway or a provider."""
    dropped = ("OPENCLAW_", "CLAWDBOT_", "PORT", "WEB_CONCURRENCY", "DATABASE_URL", "REDIS_URL", "DYNO")
    names = ("OLLAMA_HOST", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
    endings = ("_API_KEY", "_BASE_URL", "_API_BASE", "_PROXY", "_proxy")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(dropped) and not name.endswith(endings) and name not in names
    }
    return {**kept, **extra}


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def text(self) -> str:
        content: str = self.json["choices"][0]["message"]["content"]
        return content

    def events(self) -> list[Any]:
        """The stream's `data` lines; `[DONE]` stays a string."""
        lines = [line[6:] for line in self.body.split(b"\n\n") if line.startswith(b"data: ")]
        return [line.decode() if line == b"[DONE]" else json.loads(line) for line in lines]


class GatewayProcess:
    """`start` waits for the first 200 of `/health`. `app` is what gunicorn serves."""

    def __init__(
        self, folder: Path, config: dict[str, Any], app: str = "wsgi:app", **environment: str
    ) -> None:
        self.folder = folder
        self.app = app
        self.port = free_port()
        self.config_path = folder / "openclaw.json"
        self.state = folder / "state"
        self.write_config(config)
        self._environment = clean_environment(
            OPENCLAW_CONFIG_PATH=str(self.config_path),
            OPENCLAW_STATE_DIR=str(self.state),
            HOME=str(folder),
            PYTHONPATH=str(ROOT),
            **environment,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ending = False
        self.log_path = folder / "gateway.log"

    def write_config(self, config: dict[str, Any]) -> None:
        config = {**config, "gateway": {"port": self.port, **config.get("gateway", {})}}
        self.config_path.write_text(json.dumps(config))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    def spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", self.app, *arguments]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def start(self) -> GatewayProcess:
        self._process, self._is_ending = self.spawn(), False
        deadline = time.monotonic() + 60
        while True:
            assert self._process.poll() is None, f"the gateway ended:\n{self.log}"
            assert time.monotonic() < deadline, f"the gateway did not start:\n{self.log}"
            try:
                if self.request("GET", "/health").status == 200:
                    return self
            except OSError:
                time.sleep(0.02)

    def terminate(self) -> None:
        """SIGTERM to the master, without waiting."""
        self._is_ending = True
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to every process of the gateway, as a power cut would."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> int:
        """SIGTERM, and wait. Returns the exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None and not self._is_ending:  # a second one would end it at once
            self.terminate()
        try:
            code = self._process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise
        self._process = None
        return code

    def wait(self, seconds: float) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 30,
    ) -> Answer:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, data, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes, timeout: float = 20) -> Answer:
        """The answer to these very bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as sock:
            sock.sendall(data)
            response = http.client.HTTPResponse(sock)
            response.begin()
            with response:
                return Answer(response.status, response.headers, response.read())

    def chat(self, body: dict[str, Any] | bytes, token: str = TOKEN, **headers: str) -> Answer:
        """POST /v1/chat/completions. Header names are written with underscores."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **given}
        return self.request("POST", "/v1/chat/completions", body, given)

    @contextmanager
    def stream(
        self, text: str, events: str = "", headers: dict[str, str] | None = None, **more: Any
    ) -> Iterator[http.client.HTTPResponse]:
        """A streaming request whose answer the block reads as it likes. `events`: of `x-openclaw-events`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = {"model": "openclaw", "stream": True, "messages": [{"role": "user", "content": text}], **more}
        given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **(headers or {})}
        if events:
            given["X-OpenClaw-Events"] = events
        connection.request("POST", "/v1/chat/completions", json.dumps(body), given)
        with closing(connection), connection.getresponse() as response:
            yield response

    def metric(self, name: str) -> float:
        """The value of a metric; `name` includes its labels."""
        page = self.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        values = dict(line.rsplit(" ", 1) for line in page.body.decode().splitlines())
        return float(values[name])

    def ask(self, text: str, **more: Any) -> Answer:
        return self.chat({"model": "openclaw", "messages": [{"role": "user", "content": text}], **more})

    def at_terminal(self, *arguments: str) -> Terminal:
        """`python -m app …` at a terminal, in the gateway's environment."""
        return Terminal([sys.executable, "-m", "app", *arguments], self._environment, ROOT)

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`python -m app …` in the gateway's environment."""
        return subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )


def read_until(stream: http.client.HTTPResponse, sign: bytes, count: int = 1) -> bytes:
    """What a stream has up to that sign, so many of it, and a little more."""
    read = b""
    while read.count(sign) < count:
        piece = stream.read1()
        assert piece, f"the stream ended without {sign!r}: {read!r}"
        read += piece
    return read


def only(text: str) -> dict[str, str]:
    """A system prompt without the gateway's own part."""
    return {"mode": "replace", "text": text}


BARE: dict[str, Any] = {"tools": {"deny": ["*"]}, "systemPrompt": ""}


def agent_config(provider_url: str, tools: dict[str, Any] | None = None, **agent: Any) -> dict[str, Any]:
    """A configuration with one agent, which has the given tools (`tools`), and the scripted provider."""
    config = config_for(provider_url)
    config["agents"] = {
        "defaults": {"model": "test/test"},
        "list": [{"id": "main", "default": True, **agent}],
    }
    return {**config, "tools": tools or {}}


def config_for(provider_url: str, **gateway: Any) -> dict[str, Any]:
    """A configuration with chat completions on, two agents and the scripted provider behind both.

    The agents have no tools and no system prompt but the configured one: what a provider gets is what the
    caller sent.
    """
    return {
        "gateway": {
            "auth": {"mode": "token", "token": TOKEN},
            "http": {"endpoints": {"chatCompletions": {"enabled": True}}},
            **gateway,
        },
        "agents": {
            "defaults": {"model": "test/test", **BARE},
            "list": [
                {"id": "main", "default": True, "systemPrompt": only("You are main.")},
                {"id": "beta", "systemPrompt": only("You are beta.")},
            ],
        },
        "models": {
            "providers": {
                "test": {
                    "baseUrl": provider_url,
                    "apiKey": "provider-key-canary",
                    "api": "openai-completions",
                }
            }
        },
    }
