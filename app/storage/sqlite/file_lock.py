"""Locks between processes (flock), held as long as a file is open.

The kernel frees them however a process ends, `kill -9` included; nothing is left to clean up or to mistake
for a living process. They work on a local disk, not on every network file system: like SQLite's own locks.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import StorageUnavailable

POLL_SECONDS = 0.02


def try_lock(path: Path, *, create: bool) -> int | None:
    """Lock the file and return its descriptor; closing that frees the lock. None: another process holds it.

    Raises `FileNotFoundError` if there is no such file and `create` is false.
    """
    handle = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


@contextmanager
def locked(path: Path, max_wait: float) -> Iterator[None]:
    """Hold the lock inside the block. Blocks the thread up to `max_wait` seconds; then raises
    StorageUnavailable.
    """
    deadline = time.monotonic() + max_wait
    while (handle := try_lock(path, create=True)) is None:
        if time.monotonic() > deadline:
            raise StorageUnavailable(
                "Another process has been preparing the session database for too long. "
                "Look for a gateway that hangs while it starts, and stop it."
            )
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        os.close(handle)
