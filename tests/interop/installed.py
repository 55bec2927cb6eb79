"""Other people's clients, installed once into a cache outside the checkout: a folder for each list."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
JS = HERE / "js"
CLIENTS = HERE / "clients"
REQUIREMENTS = HERE / "requirements.txt"
INSTALL_SECONDS = 600


def node_with_packages() -> tuple[Path, Path]:
    """(node, node_modules). The clients want a newer Node than some systems have, so it is installed too."""
    folder = _installed(JS / "package-lock.json", lambda folder: _npm_ci(JS, folder))
    packages = folder / "node_modules"
    brought = sorted(packages.glob("node-linux-*/bin/node"))
    node = brought[0] if brought else Path(shutil.which("node") or "node")
    return node, packages


def clients() -> Path:
    """The node_modules with OpenClaw's own clients, each under its name and version.

    No script of a package is run, so nothing is compiled or fetched besides the packages themselves.
    Peers are left out, and a runtime for language models is replaced by nothing: no client needs it.
    Of `libsignal` the registry's own package stands in for one from elsewhere.
    """
    flags = ("--ignore-scripts", "--legacy-peer-deps")
    lock = CLIENTS / "package-lock.json"
    return _installed(lock, lambda folder: _npm_ci(CLIENTS, folder, *flags)) / "node_modules"


def python_with_packages() -> Path:
    """The Python of the virtual environment that `requirements.txt` is installed in."""
    return _installed(REQUIREMENTS, _install_python) / "bin" / "python"


def _npm_ci(pins: Path, folder: Path, *flags: str) -> None:
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(pins / name, folder)
    # The engines' warning is about the Node that runs npm, not the one that runs the clients.
    _run("npm", "ci", "--loglevel=error", "--no-audit", "--no-fund", *flags, cwd=folder)


def _install_python(folder: Path) -> None:
    _run(sys.executable, "-m", "venv", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
    _run(*pip, "install", "--quiet", "-r", str(REQUIREMENTS))


def _installed(pins: Path, install: Callable[[Path], None]) -> Path:
    """The folder for this content of `pins`, made if it is not there or was never finished."""
    content = pins.read_bytes() + sys.version.encode()
    folder = _cache() / hashlib.sha256(content).hexdigest()[:16]
    whole = folder / "installed"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the tests at once
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            install(folder)
            whole.touch()
    return folder


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "openclaw-gateway-tests"


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
