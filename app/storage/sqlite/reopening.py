"""A connection to a file that may be replaced while the gateway runs, as by a restored backup."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.storage.sqlite.failures import is_locked

FileId = tuple[int, int]  # device and inode: another file at the same path has another one


def identify(path: str) -> FileId | None:
    """Which file is at that path now; None if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


class ReopeningConnection:
    """A connection that opens at its first use, and again after it has failed or the file was replaced."""

    def __init__(self, path: Path, connect: Callable[[Path], Connection]) -> None:
        self._path = path
        self._connect = connect
        self._connection: Connection | None = None
        self._file: FileId | None = None

    def opened(self, file: FileId) -> ReopeningConnection:
        """Itself, open on that file, for a `with` block that gets the connection. One block at a time."""
        if self._connection is None or self._file != file:
            self.close()
            self._connection, self._file = self._connect(self._path), file
        return self

    def __enter__(self) -> Connection:
        assert self._connection is not None
        return self._connection

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None and isinstance(error, DBAPIError) and not is_locked(error):
            self.close()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
