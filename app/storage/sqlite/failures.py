"""SQLite's and the system's errors as messages for the operator, without SQL, values or paths.

The driver's own message goes to the log. Values of parameters go nowhere.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
from types import TracebackType

from sqlalchemy.exc import DBAPIError

from app.errors import StorageUnavailable
from app.logs.lines import log_event

logger = logging.getLogger("app.storage")

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
    """Inside this context, errors that an operator can repair become StorageUnavailable.

    All others, like a violated constraint, pass unchanged: they are our own mistakes or a caller's.
    """

    def __enter__(self) -> None: ...

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, DBAPIError):
            message = _SQLITE.get(_sqlite_code(error))
            if message is None:
                return
            # A traceback would say no more.
            log_event(logger, logging.ERROR, f"session database: {error.orig}")
            raise StorageUnavailable(message, retry_after=1 if is_locked(error) else None) from None
        if isinstance(error, OSError):
            log_event(logger, logging.ERROR, f"session database: {error}")
            raise StorageUnavailable(_SYSTEM.get(error.errno or 0, FORBIDDEN)) from None


def _sqlite_code(error: DBAPIError) -> int:
    # The low byte is the kind of failure, the rest says where in SQLite it happened.
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF
