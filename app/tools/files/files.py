"""The files that an agent's tools may use: those of its workspace, or all if `tools.fs.workspaceOnly` is off.

Whatever the setting, the gateway's own state and configuration are out of reach: they hold its secrets.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from app.tools.base import RunContext, ToolBlocked, ToolError
from app.tools.files.beneath import open_beneath
from app.tools.files.protected import is_protected, protected_paths
from app.tools.files.replace import replace_file
from app.tools.files.room import refuse_full_disk

# They go into the system prompt: who can change them, can tell the agent anything, for ever.
PROMPT_FILES = ("AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "TOOLS.md")
OUTSIDE = (errno.EXDEV, errno.ELOOP)
MAX_PATH = 4096  # characters
MAX_NAMES = 2000  # names of a folder that are looked at for one that was meant


class FileIsMissing(ToolError):
    """There is no such file."""


class Files:
    """Opens, for one call, what the agent's tools may use. All paths are as the model wrote them."""

    def __init__(self, run: RunContext) -> None:
        self._root = run.workspace
        fs = run.agent.tools.fs
        self._only_workspace, self._keeps_prompt = fs.workspace_only, not fs.write_prompt_files
        self._protected = protected_paths(run.settings())

    def shown(self, path: str) -> str:
        """The absolute path, for messages."""
        return os.path.normpath(self._root / self._relative(path))

    @contextmanager
    def opened(self, path: str, flags: int = os.O_RDONLY) -> Iterator[int]:
        """A descriptor of the file or folder. Raises ToolError."""
        with self._errors(path):
            fd = self._open(path, flags)
        try:
            self._refuse_protected(fd, path)
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def regular(self, path: str) -> Iterator[int]:
        """A descriptor of an ordinary file, to read. Raises ToolError for anything else."""
        with self.opened(path) as fd:
            kind = os.fstat(fd).st_mode
            if S_ISDIR(kind):
                raise ToolError(f"{self.shown(path)} is a folder: list it with `ls`.")
            if not S_ISREG(kind):
                raise ToolError(f"{self.shown(path)} is not an ordinary file.")
            yield fd

    def read(self, path: str, max_bytes: int) -> bytes:
        """The whole content. Raises ToolError, also if it has more than `max_bytes`."""
        with self.regular(path) as fd:
            size = os.fstat(fd).st_size
            content = b""
            with open(fd, "rb", closefd=False) as file, self._errors(path):
                content = file.read(max_bytes + 1)
            if len(content) > max_bytes:
                raise ToolError(f"{self.shown(path)} has {size} bytes; at most {max_bytes} can be used.")
            return content

    def write(self, path: str, content: bytes) -> None:
        """Replace the file, or make it with the folders it needs: all of it or nothing. Raises ToolError."""
        with self._folder_of(path) as (folder, name), self._errors(path):
            refuse_full_disk(folder)
            replace_file(folder, name, content)

    def delete(self, path: str) -> None:
        """Remove the file, or the link of that name. Raises ToolError."""
        with self._folder_of(path) as (folder, name), self._errors(path):
            os.unlink(name, dir_fd=folder)

    def exists(self, path: str) -> bool:
        """Whether there is something of that name. Raises ToolError if it is out of reach."""
        try:
            with self.opened(path, os.O_PATH):
                return True
        except FileIsMissing:
            return False

    @contextmanager
    def _folder_of(self, path: str) -> Iterator[tuple[int, str]]:
        """The folder of a file to write, made if it is missing, and the file's name in it.

        A link is followed: the file is where it leads.
        """
        target = path
        with suppress(FileIsMissing), self.opened(path, os.O_PATH) as fd:
            is_folder = S_ISDIR(os.fstat(fd).st_mode)
            target = "" if is_folder else os.readlink(f"/proc/self/fd/{fd}")
        if not target or self._relative(target).endswith("/") or self._relative(target) in ("", "."):
            raise ToolError(f"{self.shown(path)} is a folder.")
        parent, name = os.path.split(self._relative(target))
        with self._errors(path):
            folder = self._make_folders(parent or ".")
        try:
            self._refuse_protected(folder, path, name)
            self._refuse_prompt_file(folder, name)
            yield folder, name
        finally:
            os.close(folder)

    def _make_folders(self, path: str) -> int:
        """A descriptor of the folder; it and those around it are made if they are missing. Raises OSError."""
        flags = os.O_PATH | os.O_DIRECTORY
        try:
            return self._open(path, flags)
        except FileNotFoundError:
            if path == ".":
                self._root.mkdir(parents=True, exist_ok=True)
                return self._open(path, flags)
        parent, name = os.path.split(path.rstrip("/"))
        above = self._make_folders(parent or ".")
        try:
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=above)
        finally:
            os.close(above)
        return self._open(path, flags)

    def _open(self, path: str, flags: int, mode: int = 0) -> int:
        relative = self._relative(path)
        if not flags & os.O_PATH:
            flags |= os.O_NONBLOCK  # a pipe would wait for its other end
        if not self._only_workspace:
            return os.open(os.path.join(self._root, relative), flags | os.O_CLOEXEC, mode)
        root = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return open_beneath(root, relative, flags, mode)
        finally:
            os.close(root)

    def _relative(self, path: str) -> str:
        """The path relative to the workspace, where it is written as an absolute one inside of it.

        A path outside stays as it is: opening it is refused. Raises ToolError for no path at all.
        """
        if not path.strip() or "\0" in path or len(path) > MAX_PATH:
            raise ToolError(f"`path` must be a path, without NUL, of at most {MAX_PATH} characters.")
        expanded = os.path.expanduser(path) if path.startswith("~") else path
        for root in (str(self._root), os.path.realpath(self._root)):
            if expanded == root or expanded.startswith(root.rstrip("/") + "/"):
                return expanded[len(root.rstrip("/")) :].lstrip("/") or "."
        return expanded

    def _refuse_protected(self, fd: int, path: str, name: str | None = None) -> None:
        """Raise ToolError for the gateway's own files; its folder may have the workspace inside."""
        where = os.readlink(f"/proc/self/fd/{fd}")
        place = where if name is None else os.path.join(where, name)
        if is_protected(place, os.path.realpath(self._root), self._protected):
            raise ToolBlocked(f"{self.shown(path)} belongs to the gateway itself, and is out of reach.")

    def _refuse_prompt_file(self, folder: int, name: str) -> None:
        where = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)
        files = [os.path.join(os.path.realpath(self._root), one) for one in PROMPT_FILES]
        if self._keeps_prompt and where in (*files, *map(os.path.realpath, files)):
            raise ToolBlocked(
                f"{name} is part of the system prompt: only people change it (tools.fs.writePromptFiles). "
                "Keep what is worth remembering in MEMORY.md or memory/."
            )

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """OSError as ToolError, with what the model can do about it."""
        try:
            yield
        except FileNotFoundError:
            raise FileIsMissing(f"File not found: {self.shown(path)}.{self._meant(path)}") from None
        except OSError as error:
            kind = ToolBlocked if error.errno in OUTSIDE else ToolError
            raise kind(self._describe(error, path)) from None

    def _describe(self, error: OSError, path: str) -> str:
        shown = self.shown(path)
        match error.errno:
            case number if number in OUTSIDE:
                return (
                    f"{shown} is outside of the workspace ({self._root}). Only files in the workspace can be "
                    "used (tools.fs.workspaceOnly)."
                )
            case errno.EISDIR:
                return f"{shown} is a folder."
            case errno.ENOTDIR:
                return f"{shown}: a part of this path is a file, not a folder."
            case errno.ENAMETOOLONG:
                return "A name in this path is too long."
            case errno.ENXIO:
                return f"{shown} is not an ordinary file."
            case errno.ENOSPC | errno.EDQUOT:
                return f"{shown} could not be written: no space is left on the disk. Nothing was changed."
            case _:
                return f"{shown}: {(error.strerror or 'input/output error').lower()}."

    def _meant(self, path: str) -> str:
        """` Did you mean: …?` with names that are like the missing one."""
        parent, name = os.path.split(self._relative(path).rstrip("/"))
        with suppress(OSError, ToolError):
            fd = self._open(parent or ".", os.O_RDONLY | os.O_DIRECTORY)
            try:
                names = os.listdir(fd)[:MAX_NAMES]
            finally:
                os.close(fd)
            lowered = {one.lower(): one for one in names}
            if close := get_close_matches(name.lower(), lowered, 3, 0.6):
                return f" Did you mean: {', '.join(os.path.join(parent, lowered[one]) for one in close)}?"
        return ""


def workspace_of(run: RunContext) -> Path:
    """The agent's workspace, made if it is missing. Raises ToolError."""
    folder = run.workspace
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"The workspace {folder} cannot be made: {error.strerror}.") from None
    return folder
