"""LiteLLM's proxy: how it is installed, configured and started."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.bounds import LITELLM
from bench.gateway import TOKEN
from bench.install import Progress, install_once, run_command
from bench.peer_process import Peer, make_home, wait_until_ready
from bench.processes import clean_environment, free_port
from bench.subjects import Subject, base_url
from bench.upstream import MODELS

VERSION = "1.102.4"
KEY = f"sk-{TOKEN}"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {name: {"level": "ERROR"} for name in ("uvicorn", "uvicorn.error", "uvicorn.access")},
}


def start_litellm(folder: Path, upstream: int, progress: Progress) -> Subject:
    """Installs it if necessary, and starts it before the upstream at that port. Raises RuntimeError."""
    home = make_home(folder, "litellm")
    programs = _install(progress) / "bin"
    port = free_port()
    (home / "config.yaml").write_text(json.dumps(configuration(upstream)))
    (home / "logging.json").write_text(json.dumps(LOGGING))
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
    headers = {"Authorization": f"Bearer {KEY}"}
    progress(f"{LITELLM} starts")
    process = wait_until_ready(Peer("litellm", command, port, home, variables, home), "/health/liveliness")
    return Subject(LITELLM, process, headers=headers, many_streams=True, answers=200)


def configuration(upstream: int) -> dict[str, Any]:
    """One model for each of the upstream, with a key, without telemetry."""

    def model(name: str) -> dict[str, Any]:
        way = {"model": f"openai/{name}", "api_base": base_url(upstream), "api_key": "a-key"}
        return {"model_name": name, "litellm_params": way}

    return {
        "model_list": [model(name) for name in MODELS],
        "litellm_settings": {"telemetry": False, "set_verbose": False},
        "general_settings": {"master_key": KEY},
    }


def _install(progress: Progress) -> Path:
    def install(folder: Path) -> None:
        run_command([sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        run_command([*pip, "install", f"litellm[proxy]=={VERSION}"])

    return install_once(f"litellm-{VERSION}", install, progress)
