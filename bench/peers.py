"""Other people's gateways before the same model, for `--peers`: LiteLLM's proxy and the published openclaw.

Each is installed once in its pinned version, into a cache outside the checkout (`BENCH_CACHE`, by default
~/.cache/openclaw-bench), and configured to be fast. A failure of one is reported in its row, or instead of
it, and does not end the benchmark.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from bench.bounds import LITELLM, OPENCLAW
from bench.gateway import TOKEN
from bench.loads import BURST, PLAIN, Load
from bench.measure import Figures, ManyStreamsFigures, measure, measure_many_streams
from bench.processes import Process, clean_environment, free_port
from bench.subjects import Subject, base_url
from bench.upstream import MODELS

LITELLM_VERSION, OPENCLAW_VERSION, NODE_VERSION = "1.102.4", "2026.9.6", "24.21.0"
VERSIONS = {LITELLM: LITELLM_VERSION, OPENCLAW: OPENCLAW_VERSION}
INSTALL_SECONDS = 1200
START_SECONDS = 300
WARM_UP_AT_ONCE = 4
QUIET_CORES, QUIET_SECONDS, SETTLE_SECONDS = 0.1, 1.0, 60.0

Progress = Callable[[str], object]
Start = Callable[[Path, int, Progress], Subject]


class Peer(Process):
    """Another gateway's processes, which may outlive their parent.

    They are paused while another subject is measured: even idle, they would use CPU.
    """

    is_warm = False

    @property
    def worker(self) -> int:
        largest: int = max(self._tree(), key=lambda process: process.memory_info().rss).pid
        return largest

    def stop(self) -> None:
        try:
            tree = self._tree()
        except psutil.NoSuchProcess:
            return
        self._signal(signal.SIGCONT)
        super().stop()
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    @contextmanager
    def awake(self) -> Iterator[None]:
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.settle()
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(psutil.NoSuchProcess):
            for process in self._tree():
                process.send_signal(number)

    def settle(self) -> None:
        """Wait until it does next to nothing: it may go on long after nobody waits for its answers."""
        deadline = time.monotonic() + SETTLE_SECONDS
        try:
            while time.monotonic() < deadline:
                before = self.cpu_seconds()
                time.sleep(QUIET_SECONDS)
                if self.cpu_seconds() - before < QUIET_CORES * QUIET_SECONDS:
                    return
        except psutil.Error:
            return


def start_peers(folder: Path, upstream: int, progress: Progress) -> Iterator[Subject]:
    """Those that can be installed and start, one by one."""
    starts: dict[str, Start] = {LITELLM: start_litellm, OPENCLAW: start_openclaw}
    for name, start in starts.items():
        try:
            peer = start(folder, upstream, progress)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            progress(f"{name} is left out: {error}")
        else:
            yield peer


def measure_subject(subject: Subject, upstream: Process, load: Load, at_once: int, seconds: float) -> Figures:
    """A peer's failure becomes a row, too, and the work it does after its answers is waited for."""
    if not isinstance(subject.process, Peer):
        return measure(subject, upstream, load, at_once, seconds)
    try:
        with subject.process.awake():
            _warm_up(subject, subject.process, upstream)
            figures = measure(subject, upstream, load, at_once, seconds)
        return figures if figures.per_second else replace(figures, cpu_ms=0.0)
    except (OSError, psutil.Error) as error:
        return Figures(0.0, 0.0, dict.fromkeys(("subject", "upstream", "load"), 0.0), [repr(error)])


def _warm_up(subject: Subject, process: Peer, upstream: Process) -> None:
    """Once, before the first measurement and not at the start: idle memory is that before any request."""
    if not process.is_warm:
        process.is_warm = True
        for load in (PLAIN, BURST):
            measure(subject, upstream, load, WARM_UP_AT_ONCE, 0.0)


def measure_subject_streams(subject: Subject, load: Load, at_once: int) -> ManyStreamsFigures:
    if not isinstance(subject.process, Peer):
        return measure_many_streams(subject, load, at_once)
    try:
        with subject.process.awake():
            return measure_many_streams(subject, load, at_once)
    except (OSError, psutil.Error) as error:
        return ManyStreamsFigures(0, [repr(error)], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, {}, {})


def start_litellm(folder: Path, upstream: int, progress: Progress) -> Subject:
    home = _home(folder, "litellm")
    programs = _install_litellm(progress) / "bin"
    port = free_port()
    (home / "config.yaml").write_text(json.dumps(litellm_configuration(upstream)))
    (home / "logging.json").write_text(json.dumps(LITELLM_LOGGING))
    command = [
        *(str(programs / "litellm"), "--config", str(home / "config.yaml")),
        *("--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"),
        *("--telemetry", "False", "--log_config", str(home / "logging.json")),
    ]
    variables = clean_environment(
        HOME=str(home),
        LITELLM_LOG="ERROR",
        LITELLM_MODE="PRODUCTION",  # no .env file
        LITELLM_LOCAL_MODEL_COST_MAP="True",  # nothing is fetched
    )
    headers = {"Authorization": f"Bearer {LITELLM_KEY}"}
    progress(f"{LITELLM} starts")
    process = _ready(Peer("litellm", command, port, home, variables, home), "/health/liveliness")
    return Subject(LITELLM, process, headers=headers, many_streams=True, answers=200)


LITELLM_KEY = f"sk-{TOKEN}"
LITELLM_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {name: {"level": "ERROR"} for name in ("uvicorn", "uvicorn.error", "uvicorn.access")},
}


def litellm_configuration(upstream: int) -> dict[str, Any]:
    def model(name: str) -> dict[str, Any]:
        way = {"model": f"openai/{name}", "api_base": base_url(upstream), "api_key": "a-key"}
        return {"model_name": name, "litellm_params": way}

    return {
        "model_list": [model(name) for name in MODELS],
        "litellm_settings": {"telemetry": False, "set_verbose": False},
        "general_settings": {"master_key": LITELLM_KEY},
    }


def start_openclaw(folder: Path, upstream: int, progress: Progress) -> Subject:
    home = _home(folder, "openclaw")
    packages = _install_openclaw(progress) / "node_modules"
    port, configured = free_port(), home / "openclaw.json"
    configured.write_text(json.dumps(openclaw_configuration(home, port, upstream)))
    configured.chmod(0o600)
    command = [_node(packages), str(packages / "openclaw" / "openclaw.mjs"), "gateway", "run"]
    variables = clean_environment(
        HOME=str(home),
        OPENCLAW_CONFIG_PATH=str(configured),
        OPENCLAW_STATE_DIR=str(home / "state"),
        OPENCLAW_NO_RESPAWN="1",
        NODE_ENV="production",
        NO_COLOR="1",
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    progress(f"{OPENCLAW} starts")
    process = _ready(Peer("openclaw", command, port, home, variables, home), "/readyz")
    names = "openclaw/{}".format
    # With 256 at once each answer would take most of a minute.
    return Subject(OPENCLAW, process, names, headers, most_at_once=64, answers=50)


def openclaw_configuration(home: Path, port: int, upstream: int) -> dict[str, Any]:
    """No channels, plugins, skills or tools, no files in its prompt, no scheduled work."""
    return {
        "gateway": {
            "mode": "local",
            "bind": "loopback",
            "port": port,
            "auth": {"mode": "token", "token": TOKEN},
            "controlUi": {"enabled": False},
            "http": {"endpoints": {"chatCompletions": {"enabled": True}}},
        },
        "agents": {
            "defaults": {
                "workspace": str(home / "workspace"),
                "skipBootstrap": True,
                "contextInjection": "never",
                "skills": [],
                "heartbeat": {"every": "0m"},
            },
            "entries": {name: {"model": f"upstream/{name}", "default": name == "plain"} for name in MODELS},
        },
        "models": {"mode": "replace", "providers": {"upstream": _openclaw_provider(upstream)}},
        "tools": {"profile": "minimal"},
        "plugins": {"enabled": False},
        "cron": {"enabled": False},
        "discovery": {"mdns": {"mode": "off"}},
        "update": {"checkOnStart": False},
        "telemetry": {"enabled": False},
        "logging": {"level": "error", "consoleLevel": "error", "file": str(home / "openclaw.log")},
    }


def _openclaw_provider(upstream: int) -> dict[str, Any]:
    free = dict.fromkeys(("input", "output", "cacheRead", "cacheWrite"), 0)
    size = {"contextWindow": 200_000, "maxTokens": 8192}
    models = [
        {"id": name, "name": name, "reasoning": False, "input": ["text"], "cost": free, **size}
        for name in MODELS
    ]
    return {"baseUrl": base_url(upstream), "apiKey": "a-key", "api": "openai-completions", "models": models}


def cache() -> Path:
    return Path(os.environ.get("BENCH_CACHE") or Path.home() / ".cache" / "openclaw-bench")


def _install_litellm(progress: Progress) -> Path:
    def install(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        _run([*pip, "install", f"litellm[proxy]=={LITELLM_VERSION}"])

    return _installed(f"litellm-{LITELLM_VERSION}", install, progress)


def _install_openclaw(progress: Progress) -> Path:
    """With the Node version it requires, without install scripts and without optional peer packages."""

    def install(folder: Path) -> None:
        packages = {
            "openclaw": OPENCLAW_VERSION,
            **({_node_package(): NODE_VERSION} if _node_package() else {}),
        }
        (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": packages}))
        quiet = ("--loglevel=error", "--no-audit", "--no-fund")
        _run(["npm", "install", "--ignore-scripts", "--legacy-peer-deps", *quiet], folder)

    return _installed(f"openclaw-{OPENCLAW_VERSION}", install, progress)


def _node_package() -> str | None:
    """The npm package that contains Node for this machine; None if there is none."""
    kinds = {"x86_64": "x64", "aarch64": "arm64"}
    kind = kinds.get(platform.machine()) if sys.platform == "linux" else None
    return f"node-linux-{kind}" if kind else None


def _node(packages: Path) -> str:
    bundled = sorted(packages.glob("node-linux-*/bin/node"))
    return str(bundled[0]) if bundled else shutil.which("node") or "node"


def _installed(name: str, install: Callable[[Path], None], progress: Progress) -> Path:
    folder = cache() / name
    marker = folder / "installed"
    if not marker.exists():
        progress(f"{name} is installed into {folder}: some minutes, once")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install(folder)
        marker.touch()
    return folder


def _run(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _home(folder: Path, name: str) -> Path:
    home = folder / name
    home.mkdir(parents=True)
    return home


def _ready(process: Peer, path: str) -> Peer:
    try:
        process.wait_for(path, START_SECONDS)
        with process.awake():
            pass  # leaving `awake` waits until its background work is done
    except BaseException:
        process.stop()
        raise
    return process
