"""What a command sees inside the sandbox: its workspace to write, the rest of the machine to read, and
nothing of the gateway's own files, of other agents' workspaces and of other programs' secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from app.config.agent_settings import AgentSettings
from app.config.settings import Settings
from app.errors import ConfigError
from app.storage.url import sqlite_file
from app.tools.files.files import PROMPT_FILES

PRIVATE = ("/tmp", "/var/tmp", "/run")  # noqa: S108 - each command's own
MAX_PRIVATE_BYTES = 512 * 1024 * 1024  # of memory, for what a command writes there
# No capabilities: whoever the gateway runs as, the command cannot change what it sees.
BASE = (
    *("--die-with-parent", "--unshare-all", "--cap-drop", "ALL", "--ro-bind", "/", "/"),
    *("--dev", "/dev", "--proc", "/proc"),
)
# What root may write without any capability, and would change the machine by it.
KERNEL = (
    "sys",
    "sysrq-trigger",
    "irq",
    "bus",
    "mtrr",
    "acpi",
    "fs",
    "scsi",
    "driver",
    "asound",
    "dynamic_debug",
)
RESOLVER = "/etc/resolv.conf"
# In the home folder of the gateway's user.
SECRET_FOLDERS = (".aws", ".azure", ".config/gcloud", ".config/gh", ".docker", ".gnupg", ".kube", ".ssh")
SECRET_FILES = (
    ".git-credentials",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    ".bash_history",
    ".config/git/credentials",
)
SYSTEM_FILES = ("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-", "/etc/sudoers")


def sandbox_arguments(
    settings: Settings, agent: AgentSettings, workspace: Path, workdir: Path, home: Path
) -> list[str]:
    """bubblewrap's arguments, to be followed by the command. `workspace` and `workdir` are without links."""
    with_network = agent.tools.exec.sandbox_network
    kept = [] if agent.tools.fs.write_prompt_files else _prompt_files(workspace)
    mounts = [
        *_private(),
        *_hidden(settings, workspace, home),
        (workspace, _bind(workspace)),
        *_pinned(settings, workspace, home, kept),
        *((file, ("--ro-bind", str(file), str(file))) for file in kept),
    ]
    arguments = [*base_arguments(), *(("--share-net",) if with_network else ())]
    for _, mount in sorted(mounts, key=lambda one: len(one[0].parts)):  # what is deeper lies on top
        arguments += mount
    resolver = Path(RESOLVER).resolve()
    if with_network and any(resolver.is_relative_to(folder) for folder in PRIVATE) and resolver.is_file():
        arguments += ["--ro-bind", str(resolver), str(resolver)]
    return [*arguments, "--chdir", str(workdir), "--"]


def base_arguments() -> list[str]:
    """The arguments that do not depend on who runs what: if these work, the sandbox does."""
    return [*BASE, *_devices()]


def _devices() -> Iterator[str]:
    yield from ("--size", str(MAX_PRIVATE_BYTES), "--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108
    yield from ("--remount-ro", "/dev")
    for path in (Path("/proc", name) for name in KERNEL):
        if path.exists():
            yield from ("--ro-bind", str(path), str(path))


Mount = tuple[Path, Sequence[str]]


def _private() -> Iterator[Mount]:
    for name in PRIVATE:
        if Path(name).is_dir():
            yield Path(name), ("--size", str(MAX_PRIVATE_BYTES), "--perms", "1777", "--tmpfs", name)


def _hidden(settings: Settings, workspace: Path, home: Path) -> Iterator[Mount]:
    empty = [Path(name) for name in PRIVATE]
    for path in sorted({path.resolve() for path in _secret_paths(settings, home)}):
        gone = any(path.is_relative_to(folder) for folder in empty)
        if path == workspace or (gone and not path.is_relative_to(workspace)):
            continue
        if path.is_dir():
            empty.append(path)
            yield path, ("--perms", "0700", "--tmpfs", str(path))
        elif path.exists():
            yield path, ("--ro-bind", "/dev/null", str(path))


def _pinned(settings: Settings, workspace: Path, home: Path, kept: Sequence[Path]) -> Iterator[Mount]:
    """The folders of the workspace around what is hidden or kept. As mounts they cannot be moved away, so
    nothing else can be put in the place of the gateway's configuration.
    """
    inside = [path.resolve() for path in (*_secret_paths(settings, home), *kept)]
    inside = [path for path in inside if path != workspace and path.is_relative_to(workspace)]
    gone = [path for path in inside if path.is_dir()]
    around = {folder for path in inside for folder in path.parents if folder.is_relative_to(workspace)}
    for folder in around - {workspace}:
        if folder.is_dir() and not any(folder.is_relative_to(hidden) for hidden in gone):
            yield folder, _bind(folder)


def _prompt_files(workspace: Path) -> list[Path]:
    """The files of the system prompt that there are: only people change them."""
    files = {(workspace / name).resolve() for name in PROMPT_FILES}
    return [file for file in files if file.is_file() and file.is_relative_to(workspace)]


def _secret_paths(settings: Settings, home: Path) -> Iterator[Path]:
    yield settings.state_dir
    for workspace in (agent.workspace for agent in settings.agents if agent.workspace is not None):
        # One that has the whole home or the system's programs in it cannot be taken away from the others.
        if not any(path.is_relative_to(workspace.resolve()) for path in (home, Path("/usr"))):
            yield workspace
    yield from settings.sources
    if settings.config_path is not None:
        yield settings.config_path
    with suppress(ConfigError):
        database = sqlite_file(settings.storage_url)
        yield from (database, database.with_name(database.name + "-wal"))
    yield from (home / name for name in (*SECRET_FOLDERS, *SECRET_FILES))
    yield from map(Path, SYSTEM_FILES)


def _bind(folder: Path) -> Sequence[str]:
    return ("--bind", str(folder), str(folder))
