"""Reads a Dockerfile, and carries its steps out without an engine: bubblewrap shows a folder as the root.

The base image is this machine's own system, with a new virtual environment as its Python.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

STEP_SECONDS = 600
VENV = "/venv"
PATH = f"{VENV}/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The words of the exec form."""
        found: list[str] = json.loads(self.value)
        return found


def parse(text: str) -> list[Step]:
    """The instructions, each with its lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [Step(*line.strip().split(None, 1)) for line in joined.splitlines()]


def is_ignored(path: str, patterns: Sequence[str]) -> bool:
    """Whether the .dockerignore of these lines leaves the file out: the last line that fits it decides."""
    ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        parts = path.split("/")
        tails = ["/".join(parts[at:end]) for at in range(len(parts)) for end in range(at + 1, len(parts) + 1)]
        heads = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        names = tails if wanted.startswith("**/") else heads
        if any(fnmatchcase(name, wanted.removeprefix("**/")) for name in names):
            ignored = not pattern.startswith("!")
    return ignored


def context_files(folder: Path) -> list[str]:
    """What an engine would get of the folder, but for what git does not know."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=folder, capture_output=True, check=True)
    lines = (folder / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line.strip() and not line.startswith("#")]
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [name for name in names if not is_ignored(name, patterns)]


@dataclass
class Image:
    """What `build` makes of a Dockerfile in `root`."""

    root: Path
    context: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    workdir: str = "/"
    user: str = "root"
    volumes: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def build(self, steps: Sequence[Step]) -> None:
        self._lay_base()
        for step in steps:
            getattr(self, f"_{step.name.lower()}")(step)

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], *, read_only: bool = False
    ) -> list[str]:
        """The command line that runs `words` as the image's user, in its folder."""
        variables = {**self.environment, **environment}
        uid, gid = self._ids()
        switch = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"] if uid else []
        return [
            *("bwrap", "--ro-bind" if read_only else "--bind", str(self.root), "/"),
            *(word for volume in self.volumes for word in ("--bind", f"{self.root}{volume}", volume)),
            *(word for folder in _system_folders() for word in ("--ro-bind-try", folder, folder)),
            *("--dev", "/dev", "--proc", "/proc"),
            *("--perms", "1777", "--tmpfs", "/tmp", "--perms", "1777", "--tmpfs", "/dev/shm"),
            *("--clearenv", "--chdir", self.workdir),
            *(word for name, value in variables.items() for word in ("--setenv", name, value)),
            *switch,
            *words,
        ]

    def _lay_base(self) -> None:
        for name in ("dev", "proc", "tmp", "root"):
            (self.root / name).mkdir(parents=True)
        shutil.copytree("/etc", self.root / "etc", symlinks=True, ignore_dangling_symlinks=True)
        for folder in _system_folders():
            if os.path.islink(folder):
                (self.root / folder[1:]).symlink_to(os.readlink(folder))
            elif os.path.isdir(folder):
                (self.root / folder[1:]).mkdir(parents=True, exist_ok=True)
        self._do([sys.executable if sys.prefix == sys.base_prefix else _base_python(), "-m", "venv", VENV])

    def _do(self, words: Sequence[str]) -> None:
        done = subprocess.run(
            self.run(words, _of_pip()), capture_output=True, text=True, timeout=STEP_SECONDS
        )
        assert done.returncode == 0, f"{shlex.join(words)}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"

    def _ids(self) -> tuple[int, int]:
        for line in (self.root / "etc" / "passwd").read_text().splitlines():
            name, _, uid, gid, *_ = line.split(":")
            if self.user in (name, uid):
                return int(uid), int(gid)
        return int(self.user), int(self.user)

    def _inside(self, path: str) -> Path:
        return self.root / os.path.normpath(os.path.join(self.workdir, path)).lstrip("/")

    def _from(self, step: Step) -> None:
        assert re.fullmatch(r"python:3\.\d+-slim", step.value)

    def _workdir(self, step: Step) -> None:
        self.workdir = step.value
        self._inside(".").mkdir(parents=True, exist_ok=True)

    def _run(self, step: Step) -> None:
        self._do(["/bin/sh", "-c", step.value])

    def _copy(self, step: Step) -> None:
        *sources, target = step.value.split()
        for name in context_files(self.context):
            if any(source == "." or name == source or name.startswith(f"{source}/") for source in sources):
                copied = self._inside(target) / name
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.context / name, copied)

    def _env(self, step: Step) -> None:
        self.environment |= dict(word.split("=", 1) for word in shlex.split(step.value))

    def _user(self, step: Step) -> None:
        self.user = step.value

    def _volume(self, step: Step) -> None:
        self.volumes += step.words

    def _expose(self, step: Step) -> None:
        assert step.value.isdecimal()

    def _stopsignal(self, step: Step) -> None:
        assert step.value == "SIGTERM"

    def _healthcheck(self, step: Step) -> None:
        self.health = json.loads(step.value.partition("CMD")[2])

    def _cmd(self, step: Step) -> None:
        self.command = step.words


def _system_folders() -> list[str]:
    """The machine's own folders of programs, and that of its Python."""
    found = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"]
    folders = [folder for folder in found if os.path.exists(folder)]
    pip = [str(Path.home() / ".config" / "pip"), "/opt"]
    return [*folders, sys.base_prefix, *(folder for folder in pip if os.path.isdir(folder))]


def _base_python() -> str:
    return os.path.join(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")


def _of_pip() -> dict[str, str]:
    """How this machine's pip reaches its index."""
    endings = ("_PROXY", "_proxy")
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name.endswith(endings) or name == "HOME"
    }
