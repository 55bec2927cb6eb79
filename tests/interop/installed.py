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
REQUIREMENTS = HERE / "requirements.txt"
INSTALL_SECONDS = 600


def node_with_packages() -> tuple[Path, Path]:
    """(node, node_modules). The clients want a newer Node than some systems have, so it is installed too."""
    folder = _installed(JS / "package-lock.json", _install_js)
    packages = folder / "node_modules"
    brought = sorted(packages.glob("node-linux-*/bin/node"))
    node = brought[0] if brought else Path(shutil.which("node") or "node")
    return node, packages


def python_with_packages() -> Path:
    """The Python of the virtual environment that `requirements.txt` is installed in."""
    return _installed(REQUIREMENTS, _install_python) / "bin" / "python"


def _install_js(folder: Path) -> None:
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(JS / name, folder)
    # The engines' warning is about the Node that runs npm, not the one that runs the clients.
    _run("npm", "ci", "--loglevel=error", "--no-audit", "--no-fund", cwd=folder)


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
