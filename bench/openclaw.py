"""The published openclaw gateway: how it is installed, configured and started."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from bench.bounds import OPENCLAW
from bench.gateway import TOKEN
from bench.install import Progress, install_once, run_command
from bench.peer_process import Peer, make_home, wait_until_ready
from bench.processes import clean_environment, free_port
from bench.subjects import Subject, base_url
from bench.upstream import MODELS

VERSION, NODE_VERSION = "2026.9.6", "24.21.0"


def start_openclaw(folder: Path, upstream: int, progress: Progress) -> Subject:
    """Installs it if necessary, and starts it before the upstream at that port. Raises RuntimeError."""
    home = make_home(folder, "openclaw")
    packages = _install(progress) / "node_modules"
    port, configured = free_port(), home / "openclaw.json"
    configured.write_text(json.dumps(configuration(home, port, upstream)))
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
    process = wait_until_ready(Peer("openclaw", command, port, home, variables, home), "/readyz")
    names = "openclaw/{}".format
    # With 256 at once each answer would take most of a minute.
    return Subject(OPENCLAW, process, names, headers, most_at_once=64, answers=50)


def configuration(home: Path, port: int, upstream: int) -> dict[str, Any]:
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
        "models": {"mode": "replace", "providers": {"upstream": _provider(upstream)}},
        "tools": {"profile": "minimal"},
        "plugins": {"enabled": False},
        "cron": {"enabled": False},
        "discovery": {"mdns": {"mode": "off"}},
        "update": {"checkOnStart": False},
        "telemetry": {"enabled": False},
        "logging": {"level": "error", "consoleLevel": "error", "file": str(home / "openclaw.log")},
    }


def _provider(upstream: int) -> dict[str, Any]:
    free = dict.fromkeys(("input", "output", "cacheRead", "cacheWrite"), 0)
    size = {"contextWindow": 200_000, "maxTokens": 8192}
    models = [
        {"id": name, "name": name, "reasoning": False, "input": ["text"], "cost": free, **size}
        for name in MODELS
    ]
    return {"baseUrl": base_url(upstream), "apiKey": "a-key", "api": "openai-completions", "models": models}


def _install(progress: Progress) -> Path:
    """With the Node version it requires, without install scripts and without optional peer packages."""

    def install(folder: Path) -> None:
        packages = {
            "openclaw": VERSION,
            **({_node_package(): NODE_VERSION} if _node_package() else {}),
        }
        (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": packages}))
        quiet = ("--loglevel=error", "--no-audit", "--no-fund")
        run_command(["npm", "install", "--ignore-scripts", "--legacy-peer-deps", *quiet], folder)

    return install_once(f"openclaw-{VERSION}", install, progress)


def _node_package() -> str | None:
    """The npm package that contains Node for this machine; None if there is none."""
    kinds = {"x86_64": "x64", "aarch64": "arm64"}
    kind = kinds.get(platform.machine()) if sys.platform == "linux" else None
    return f"node-linux-{kind}" if kind else None


def _node(packages: Path) -> str:
    bundled = sorted(packages.glob("node-linux-*/bin/node"))
    return str(bundled[0]) if bundled else shutil.which("node") or "node"
