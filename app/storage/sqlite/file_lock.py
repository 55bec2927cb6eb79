"""Locks between processes, held as long as a file is open. The system frees them, even on kill -9."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import StorageUnavailable

POLL = 0.02  # seconds


def try_lock(path: Path, *, create: bool) -> int | None:
    """Lock the file and return its descriptor; closing that frees the lock. None: somebody holds it.

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
def locked(path: Path, patience: float) -> Iterator[None]:
    """Hold the lock inside the block, waiting `patience` seconds for it. Blocks its thread."""
    deadline = time.monotonic() + patience
    while (handle := try_lock(path, create=True)) is None:
        if time.monotonic() > deadline:
            raise StorageUnavailable(
                "Another process has been preparing the session database for too long. "
                "Look for a gateway that hangs while it starts, and stop it."
            )
        time.sleep(POLL)
    try:
        yield
    finally:
        os.close(handle)
