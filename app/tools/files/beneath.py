"""Opens files beneath a folder, and nothing outside of it.

The check and the opening are one step of the kernel (`openat2` with `RESOLVE_BENEATH`), so neither `..`, an
absolute path, a symbolic link nor somebody who changes the tree meanwhile leads out. Links that stay inside
are followed. On a kernel without `openat2` the path is opened folder by folder, and no link is followed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from contextlib import suppress
from stat import S_ISLNK

OPENAT2 = 437  # the system call's number, the same on every architecture (Linux 5.6)
RESOLVE_NO_MAGICLINKS = 0x02  # links of /proc that lead anywhere
RESOLVE_BENEATH = 0x08
MISSING = frozenset({errno.ENOSYS, errno.EPERM})  # without the call, or where a container's filter denies it

_libc = ctypes.CDLL(None, use_errno=True)


def open_beneath(root: int, path: str, flags: int, mode: int = 0) -> int:
    """A descriptor of `path`, relative to the folder whose descriptor is `root`. Raises OSError.

    One that would leave the folder fails with EXDEV. The descriptor is not inherited by child processes.
    """
    flags |= os.O_CLOEXEC
    how = struct.pack("QQQ", flags, mode, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    fd: int = _libc.syscall(OPENAT2, root, os.fsencode(path or "."), how, len(how))
    if fd >= 0:
        return fd
    error = ctypes.get_errno()
    if error == errno.EAGAIN:  # something was renamed at that moment
        return open_beneath(root, path, flags, mode)
    if error not in MISSING:
        raise OSError(error, os.strerror(error), path)
    return _open_step_by_step(root, path, flags, mode)


def _open_step_by_step(root: int, path: str, flags: int, mode: int) -> int:
    """The same without `openat2`; a symbolic link fails with ELOOP."""
    *folders, name = [part for part in path.split("/") if part not in ("", ".")] or ["."]
    if path.startswith("/") or ".." in (*folders, name):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    parent = os.dup(root)
    try:
        for folder in folders:
            below = _open_no_link(parent, folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0)
            os.close(parent)
            parent = below
        return _open_no_link(parent, name, flags, mode)
    finally:
        os.close(parent)


def _open_no_link(folder: int, name: str, flags: int, mode: int) -> int:
    """A symbolic link fails with ELOOP, also where the kernel says ENOTDIR or opens the link itself."""
    with suppress(FileNotFoundError):
        if S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    return os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=folder)
