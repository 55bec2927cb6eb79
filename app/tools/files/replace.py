"""Writes a file of a folder in one step, so that whoever reads it finds the old content or the new one."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress

NEW_MODE = 0o644


def replace_file(folder: int, name: str, content: bytes) -> None:
    """Write `content` as the file `name` of the folder with the descriptor `folder`. Raises OSError.

    The file keeps its mode. On an error nothing has changed.
    """
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode & 0o777
    except FileNotFoundError:
        mode = NEW_MODE
    temporary = f".{name[:200]}.{secrets.token_hex(6)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
