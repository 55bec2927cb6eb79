"""Installs other people's gateways, each once, into a cache outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

INSTALL_SECONDS = 1200

Progress = Callable[[str], object]


def cache() -> Path:
    """`BENCH_CACHE`, by default ~/.cache/openclaw-bench."""
    return Path(os.environ.get("BENCH_CACHE") or Path.home() / ".cache" / "openclaw-bench")


def install_once(name: str, install: Callable[[Path], None], progress: Progress) -> Path:
    """The folder that `install` has filled, now or at an earlier time; a partial installation is removed."""
    folder = cache() / name
    marker = folder / "installed"
    if not marker.exists():
        progress(f"{name} is installed into {folder}: some minutes, once")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install(folder)
        marker.touch()
    return folder


def run_command(command: list[str], folder: Path | None = None) -> None:
    """Raises RuntimeError with the command's output if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
