"""What went wrong with the storage, in words for the operator: no SQL, no values, no paths.

The driver's own words go to the log. Parameter values go nowhere.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
from types import TracebackType

from sqlalchemy.exc import DBAPIError

from app.errors import StorageUnavailable

log = logging.getLogger(__name__)

FULL = "The disk that holds the session database is full. Free some space on it."
FORBIDDEN = (
    "The session database cannot be opened or written. Check that the state directory exists and belongs "
    "to the user who runs the gateway, and that its disk is not mounted read-only."
)
DAMAGED = (
    "The session database is damaged. Restore it from a backup, or move the file away to start with an "
    "empty one."
)
LOCKED = (
    "The session database is locked by another process. Look for a backup or a database tool that keeps "
    "it open, and try again."
)
UNWRITABLE = (
    "The session database could not be read or written: its disk is full, over a quota or failing. "
    "Check the disk of the state directory."
)

_SQLITE = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: FORBIDDEN,
    sqlite3.SQLITE_CANTOPEN: FORBIDDEN,
    sqlite3.SQLITE_PERM: FORBIDDEN,
    sqlite3.SQLITE_IOERR: UNWRITABLE,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
_SYSTEM = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EFBIG: FULL, errno.EIO: UNWRITABLE}


def is_locked(error: DBAPIError) -> bool:
    """Whether another connection was in the way, so that trying again may help."""
    return _sqlite_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class ReportingFailures:
    """Around the use of the storage: turns what an operator can mend into `StorageUnavailable`; our own
    mistakes pass unchanged."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, DBAPIError):
            message = _SQLITE.get(_sqlite_code(error))
            if message is None:
                return
            log.error("session database: %s", error.orig)  # a traceback would tell no more
            raise StorageUnavailable(message, retry_after=1 if is_locked(error) else None) from None
        if isinstance(error, OSError):
            log.error("session database: %s", error)
            raise StorageUnavailable(_SYSTEM.get(error.errno or 0, FORBIDDEN)) from None


def _sqlite_code(error: DBAPIError) -> int:
    # The low byte is the kind of failure, the rest says where in SQLite it happened.
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF
