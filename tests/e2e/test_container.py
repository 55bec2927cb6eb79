"""The files for containers and dynos: Dockerfile, docker-compose.yml, app.json, Procfile, .python-version."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from app.cluster.url import check_redis_url
from app.config.loader import load_settings
from app.config.source.environment import _SWITCHES
from app.start import check_workers, worker_count
from tests.support.dockerfile import Image, context_files, parse
from tests.support.gateway import ROOT, TOKEN, GatewayProcess
from tests.support.provider import ScriptedProvider, wait_until
from tests.support.servers import PostgresServer, RedisServer

STEPS = parse((ROOT / "Dockerfile").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
MANIFEST: dict[str, Any] = json.loads((ROOT / "app.json").read_text())
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
EX_CONFIG = 78
BY_ENVIRONMENT = {"OPENCLAW_CHAT_COMPLETIONS": "1", "OPENAI_API_KEY": "canary"}

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("bwrap") is None, reason="needs root and bubblewrap"
)


def of(name: str) -> list[str]:
    return [step.value for step in STEPS if step.name == name]


def test_the_image_follows_the_rules_of_images() -> None:
    order = [step.name for step in STEPS]
    assert order[0] == "FROM"
    assert order.index("USER") < order.index("CMD"), "not as root"
    requirements = [value for value in of("RUN") if "pip install" in value]
    assert len(requirements) == 1
    assert {"--no-cache-dir", "--require-hashes"} <= set(requirements[0].split())
    installed = next(at for at, step in enumerate(STEPS) if step.value == requirements[0])
    before = [step.value for step in STEPS[:installed] if step.name == "COPY"]
    assert before == ["requirements.lock ./"], "changed code must not install everything again"
    for name in ("CMD", "HEALTHCHECK"):
        (value,) = of(name)
        assert json.loads(value[value.index("[") :]), "exec form: a shell would keep signals from the gateway"
    assert len(of("STOPSIGNAL")) == len(of("EXPOSE")) == len(of("VOLUME")) == 1


def test_nothing_but_the_gateway_is_in_the_image() -> None:
    files = context_files(ROOT)
    tops = {name.split("/")[0] for name in files}
    assert tops == {"app", "examples", "gunicorn.conf.py", "requirements.lock", "wsgi.py"}
    assert not any(".env" in name or "__pycache__" in name for name in files)


def test_the_same_python_everywhere() -> None:
    (image,) = of("FROM")
    assert image == f"python:{(ROOT / '.python-version').read_text().strip()}-slim"


class Container:
    """The image, run as `docker run --read-only` would."""

    def __init__(self, image: Image, **environment: str) -> None:
        self.image = image
        self.environment = environment
        self.log = image.root.parent / "container.log"
        self.gateway = GatewayProcess(image.root.parent, {})
        self.gateway.port = int(environment["PORT"])

    def spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            command = self.image.run(self.image.command, self.environment, read_only=True)
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    @contextmanager
    def running(self) -> Iterator[GatewayProcess]:
        process = self.spawn()
        try:
            wait_until(lambda: process.poll() is not None or self._is_live(), 120, "the container's start")
            assert process.poll() is None, self.log.read_text()
            yield self.gateway
            (first,) = psutil.Process(process.pid).children()
            first.send_signal(signal.SIGTERM)  # as `docker stop` does
            assert process.wait(40) == 0, self.log.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _is_live(self) -> bool:
        try:
            return self.gateway.request("GET", "/health").status == 200
        except OSError:
            return False


@needs_root
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_steps_of_the_image_make_a_gateway(tmp_path: Path, provider: ScriptedProvider) -> None:
    image = Image(tmp_path / "root", ROOT)
    image.build(STEPS)
    assert image.user != "root"
    port = str(GatewayProcess(tmp_path, {}).port)
    assert Container(image, PORT=port).spawn().wait(120) == EX_CONFIG
    assert "OPENCLAW_GATEWAY_TOKEN" in (tmp_path / "container.log").read_text()

    container = Container(
        image, PORT=port, OPENCLAW_GATEWAY_TOKEN=TOKEN, OPENAI_BASE_URL=provider.url, **BY_ENVIRONMENT
    )
    with container.running() as gateway:
        assert gateway.ask("hi", user="ann").text == "echo: hi"
        assert gateway.request("GET", "/ready").status == 200
        healthy = subprocess.run(image.run(image.health, {"PORT": port}), timeout=60)
        assert healthy.returncode == 0
        owners = {process.uids().real for process in processes_in(image.root)}
        assert owners == {10001}
    assert subprocess.run(image.run(image.health, {"PORT": port}), timeout=60, capture_output=True).returncode
    state = image.root / "data" / "gateway.sqlite"
    assert state.stat().st_uid == 10001
    begun = time.monotonic()
    with container.running() as gateway:
        assert gateway.ask("again", user="ann").status == 200
    assert ("user", "hi") in provider.messages(), "the volume keeps the session"
    assert time.monotonic() - begun < 120
    written = [path for path in (image.root / "app").rglob("*") if path.stat().st_uid != 0]
    assert written == []


def processes_in(root: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter()
        if "--worker-tmp-dir" in (command := process.cmdline()) and "bwrap" not in command[0]
    ]


def test_compose_starts_what_two_workers_need(tmp_path: Path) -> None:
    services = COMPOSE["services"]
    gateway = services["gateway"]
    assert {"gateway", "postgres", "redis"} <= set(services)
    assert gateway["build"] == "."
    assert gateway["stop_grace_period"] == "30s"
    for name, condition in gateway["depends_on"].items():
        assert condition == {"condition": "service_healthy"}
        assert "healthcheck" in services[name]
    mounted = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())}
    assert mounted == set(COMPOSE["volumes"])
    (volume,) = gateway["volumes"]
    assert volume.split(":")[1] in json.loads(of("VOLUME")[0])
    assert gateway["ports"] == [f"127.0.0.1:{of('EXPOSE')[0]}:{of('EXPOSE')[0]}"]


def test_the_gateway_of_compose_may_start(tmp_path: Path) -> None:
    environment = {
        name: re.sub(r"\$\{(\w+):[?-][^}]*\}", r"a-long-value-of-\1", value)
        for name, value in COMPOSE["services"]["gateway"]["environment"].items()
    }
    settings = load_settings({**environment, "HOME": str(tmp_path), "PORT": "8080"})
    assert settings.gateway.host == "0.0.0.0"
    assert settings.gateway.chat_completions.enabled
    assert worker_count(environment) == 2
    check_workers(2, settings)
    check_redis_url(settings.redis_url)


def test_compose_has_no_secret_of_its_own() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("OPENCLAW_GATEWAY_TOKEN", "POSTGRES_PASSWORD"):
        assert f"${{{name}:?" in text, "without it, nothing starts"


def test_the_manifest_asks_for_what_the_gateway_reads(tmp_path: Path) -> None:
    assert MANIFEST["name"]
    assert MANIFEST["description"]
    variables = MANIFEST["env"]
    assert variables["OPENCLAW_GATEWAY_TOKEN"]["generator"] == "secret"
    for name in ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY"):
        assert variables[name]["required"] is False
    for name in (name for name in variables if name.startswith("OPENCLAW_") and "TOKEN" not in name):
        assert name.removeprefix("OPENCLAW_") in _SWITCHES
    given = {name: entry["value"] for name, entry in variables.items() if "value" in entry}
    dyno = {**given, "HOME": str(tmp_path), "PORT": "5000", "OPENCLAW_GATEWAY_TOKEN": TOKEN, "DYNO": "web.1"}
    settings = load_settings(dyno)
    assert settings.gateway.chat_completions.enabled
    check_workers(worker_count(dyno), settings)


def test_the_procfile_replaces_its_shell_and_prepares_the_database() -> None:
    assert PROCFILE == {
        "release": "python -m app migrate",
        "web": "exec gunicorn -c gunicorn.conf.py wsgi:app",
    }


class Dyno(GatewayProcess):
    """The Procfile's processes, with nothing but the environment that Heroku and its add-ons make."""

    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__(folder, {}, OPENCLAW_GATEWAY_TOKEN=TOKEN, **BY_ENVIRONMENT, **environment)
        self._environment |= {"DYNO": "web.1", "PORT": str(self.port)}
        self._environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        del self._environment["OPENCLAW_CONFIG_PATH"]

    def write_config(self, config: dict[str, Any]) -> None:
        pass

    def release(self) -> subprocess.CompletedProcess[str]:
        words = ["bash", "-c", PROCFILE["release"]]
        return subprocess.run(
            words, cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=90
        )

    def spawn(self, *_arguments: str) -> subprocess.Popen[bytes]:
        words = ["bash", "-c", PROCFILE["web"]]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                words, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def terminate(self) -> None:
        """SIGTERM to every process, as Heroku does."""
        os.killpg(self.pid, signal.SIGTERM)


@pytest.mark.slow
def test_a_dyno_with_both_add_ons_runs_two_workers_and_keeps_sessions(
    tmp_path: Path, provider: ScriptedProvider, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    database = postgres.new_database().replace("postgresql://", "postgres://")
    environment = {
        "DATABASE_URL": f"{database}?sslmode=disable",  # the test's server has no TLS
        "REDIS_URL": redis_server.url(11),
        "WEB_CONCURRENCY": "2",
        "OPENAI_BASE_URL": provider.url,
    }
    for turn in range(2):
        folder = tmp_path / str(turn)
        folder.mkdir()
        dyno = Dyno(folder, **environment)  # the disk is a new one
        released = dyno.release()
        assert released.returncode == 0, released.stderr
        dyno.start()
        try:
            assert len(psutil.Process(dyno.pid).children()) == 2
            assert dyno.ask(f"turn {turn}", user="ann").text == f"echo: turn {turn}"
            assert dyno.request("GET", "/ready?verbose").json["storage"] == "persistent"
            begun = time.monotonic()
            assert dyno.stop() == 0
            assert time.monotonic() - begun < 30
        finally:
            dyno.stop()
    asked = [content for role, content in provider.messages() if role == "user"]
    assert asked == ["turn 0", "turn 1"]


def test_a_dyno_without_add_ons_is_released_too(tmp_path: Path) -> None:
    released = Dyno(tmp_path).release()
    assert released.returncode == 0, released.stderr
