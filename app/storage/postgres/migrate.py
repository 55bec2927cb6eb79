"""Brings a PostgreSQL database to the newest version of the tables, one process at a time."""

from __future__ import annotations

import logging
import time

from sqlalchemy import Connection

from app.logs.lines import log_event
from app.storage.migrate import create_tables, current_version, known_versions, refuse_newer, run_alembic
from app.storage.postgres.prepared import driver_of

logger = logging.getLogger("app.storage")

LOCK = "openclaw-gateway: migration"
MAX_WAIT = 60  # seconds, for another process that migrates
MAX_WORK = 600  # seconds of our own


def migrate(connection: Connection) -> tuple[str | None, str]:
    """Bring the database to the newest version, unless it has it: the version it had, and the one it has.

    Safe in several processes at once. Raises StorageUnavailable: a newer gateway has written it.
    """
    newest = known_versions()[-1]
    with connection.begin():
        current = current_version(connection)
    if current == newest:
        return current, newest
    driver = driver_of(connection)
    driver.deadline = time.monotonic() + MAX_WAIT + MAX_WORK
    with connection.begin():
        driver.begin()
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{MAX_WAIT}s'; SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock(hashtextextended('{LOCK}', 0))")
        current = current_version(connection)
        if current != newest:
            refuse_newer(current)
            if current is None:
                create_tables(connection, newest)
            else:
                run_alembic(connection, newest)
            log_event(
                logger,
                logging.INFO,
                f"session database: migrated from version {current or 'none'} to {newest}",
            )
    return current, newest
