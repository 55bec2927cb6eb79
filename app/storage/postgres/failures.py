"""PostgreSQL's errors: which of them pass by themselves, and messages for the operator.

The messages are without SQL, values or addresses; the driver's own goes to the log.
"""

from __future__ import annotations

import logging
from types import TracebackType

from sqlalchemy.exc import DBAPIError

from app.errors import StorageUnavailable
from app.logs.lines import log_event

logger = logging.getLogger("app.storage")

RETRY_SECONDS = 2.0

AWAY = (
    "The session database cannot be reached at the moment. If this lasts, check that PostgreSQL runs and "
    "that DATABASE_URL (or storage.url) is right; the gateway's log says what the connection failed with."
)
BUSY = "The session database is overloaded: {}. Try again."
FULL = "The session database's server is out of space or memory. Free some there."
FORBIDDEN = (
    "The session database's user may not do what the gateway needs. Let it own its database, or its schema."
)
TAKEN = (
    "The database has tables of another program. Give the gateway a database of its own, or a schema: "
    "DATABASE_URL=…?options=-csearch_path%3D<schema>."
)
INCOMPLETE = "The session database lacks tables. Restore it from a backup, or give the gateway an empty one."
UNKNOWN = (
    "The connection to the session database broke at the very moment of storing: whether it is stored is not "
    "known. Look before you do it again."
)
_TOO_SLOW = "a statement took too long"
_TOO_MANY = "all connections are in use"

# By SQLSTATE (PostgreSQL's documentation, "PostgreSQL Error Codes").
_LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03", "25006", "53300")  # away, ending, a standby
_BEATEN = ("40001", "40P01")  # by another transaction
_PLANS = ("26000", "42P05", "0A000")  # a plan that the server does not have any more, or that is out of date
UNIQUE = "23505"
NO_TABLE = "42P01"
_MESSAGES = {
    **dict.fromkeys(("57014", "55P03"), BUSY.format(_TOO_SLOW)),
    **dict.fromkeys(("53000", "53100", "53200", "53400", "58030"), FULL),
    **dict.fromkeys(("42501", "28000", "28P01", "3D000"), FORBIDDEN),
    **dict.fromkeys(("42P07", "42P06", "42710"), TAKEN),
    "42P01": INCOMPLETE,
}


def state_of(error: BaseException) -> str:
    """The SQLSTATE; empty for a connection that broke, and for what is no failure of the database."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) or ""


def is_lost(error: DBAPIError) -> bool:
    """Whether the server is away, or about to go, so that another connection may help."""
    state = state_of(error)
    if not state:  # libpq's own words: broken, not made, or given up
        return type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")
    return state.startswith(_LOST)


def is_beaten(error: DBAPIError) -> bool:
    """Whether another transaction was in the way, so that the same one works a moment later."""
    return state_of(error) in _BEATEN


def is_plan(error: DBAPIError) -> bool:
    """Whether the connection's prepared statements are not what the server has."""
    return state_of(error) in _PLANS


def passes(error: DBAPIError) -> bool:
    """Whether it passes by itself, so that trying again may help."""
    return is_lost(error) or is_beaten(error) or is_plan(error)


class ReportingFailures:
    """Inside this context, errors that an operator can repair become StorageUnavailable.

    All others, like a violated constraint, pass unchanged: they are our own mistakes or a caller's.
    """

    def __enter__(self) -> None: ...

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not isinstance(error, DBAPIError):
            return
        message = AWAY if passes(error) else _MESSAGES.get(state_of(error))
        if message is not None:
            report(error)
            raise StorageUnavailable(message, retry_after=RETRY_SECONDS if passes(error) else None) from None


def report(error: DBAPIError) -> None:
    """Log what the driver says, on one line: a traceback would say no more."""
    log_event(logger, logging.ERROR, f"session database: {' '.join(str(error.orig).split())}")


def all_in_use() -> StorageUnavailable:
    """For who has waited too long for a connection."""
    return StorageUnavailable(BUSY.format(_TOO_MANY), retry_after=RETRY_SECONDS)
