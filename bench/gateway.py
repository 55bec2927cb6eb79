"""This gateway as it is served everywhere: `gunicorn -c gunicorn.conf.py wsgi:app`, one worker."""

from __future__ import annotations

import json
from pathlib import Path

from bench.processes import ROOT, Process, clean_environment, free_port, gunicorn
from bench.upstream import READS

TOKEN = "a-token-for-the-benchmark-0123456789"
START_COMMAND = gunicorn("-c", "gunicorn.conf.py", "wsgi:app")


def configuration(
    port: int, upstream: str, models: tuple[str, ...], workspace: Path | None = None
) -> dict[str, object]:
    """One agent for each model of the upstream, under the model's name. That of the model which reads has the
    tool for it, and a prompt.
    """
    return {
        "gateway": {
            "port": port,
            "auth": {"mode": "token", "token": TOKEN},
            "http": {"endpoints": {"chatCompletions": {"enabled": True}}},
        },
        "agents": {  # without tools and prompt: the upstream is sent what the client sent
            "defaults": {"tools": {"deny": ["*"]}, "systemPrompt": ""},
            "list": [
                {
                    "id": model,
                    "model": f"upstream/{model}",
                    "default": model == models[0],
                    **(_with_read(workspace) if model == READS else {}),
                }
                for model in models
            ],
        },
        "models": {
            "providers": {
                "upstream": {"baseUrl": upstream, "apiKey": "a-key", "api": "openai-completions"},
            }
        },
    }


def _with_read(workspace: Path | None) -> dict[str, object]:
    return {
        "tools": {"deny": [], "allow": ["read"]},
        "systemPrompt": {"mode": "append", "text": ""},
        **({"workspace": str(workspace)} if workspace is not None else {}),
    }


def environment(folder: Path) -> dict[str, str]:
    """The environment of a gateway whose configuration and state are in `folder`."""
    return clean_environment(
        HOME=str(folder),
        PYTHONPATH=str(ROOT),
        OPENCLAW_CONFIG_PATH=str(folder / "openclaw.json"),
        OPENCLAW_STATE_DIR=str(folder / "state"),
    )


def write_configuration(folder: Path, port: int, upstream: str, models: tuple[str, ...]) -> None:
    """The configuration file that `environment` names."""
    folder.mkdir(parents=True, exist_ok=True)
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    (workspace / "note.txt").write_text("Two plus two is four.\n")
    (folder / "openclaw.json").write_text(json.dumps(configuration(port, upstream, models, workspace)))


def spawn_gateway(folder: Path, upstream: str, models: tuple[str, ...], **variables: str) -> Process:
    """Starts a gateway with that upstream, and further variables of its environment; the caller waits for it
    and stops it.
    """
    port = free_port()
    write_configuration(folder, port, upstream, models)
    return Process("gateway", START_COMMAND, port, folder, {**environment(folder), **variables})
