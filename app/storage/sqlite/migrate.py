"""Brings an SQLite file to the newest version of the tables, one process at a time."""

from __future__ import annotations

import logging
from pathlib import Path

from app.logs.lines import log_event
from app.storage.migrate import create_tables, current_version, known_versions, refuse_newer, run_alembic
from app.storage.sqlite.connect import BUSY_TIMEOUT, connect_reader, connect_writer
from app.storage.sqlite.file_lock import locked

logger = logging.getLogger("app.storage")

MAX_WAIT = 60.0  # seconds, for another process that migrates


def migrate(path: Path) -> tuple[str | None, str]:
    """Bring the file to the newest version, unless it has it: the version it had, and the one it has.

    Safe in several processes at once.

    Raises StorageUnavailable: a newer gateway has written it, or another process takes too long.
    """
    newest = known_versions()[-1]
    if _version_of(path) == newest:
        return newest, newest
    with locked(path.with_name(path.name + ".lock"), MAX_WAIT):
        current = _version_of(path)
        if current != newest:
            _upgrade(path, current, newest)
    return current, newest


def _version_of(path: Path) -> str | None:
    connection = connect_reader(path, BUSY_TIMEOUT)
    try:
        return current_version(connection)
    finally:
        connection.close()


def _upgrade(path: Path, current: str | None, newest: str) -> None:
    refuse_newer(current)
    # SQLite alters a table by copying it to a new one and dropping the old one. With foreign keys on,
    # dropping it would delete all rows that refer to its rows.
    connection = connect_writer(path, foreign_keys=False)
    try:
        with connection.begin():
            if current is None:
                create_tables(connection, newest)
            else:
                run_alembic(connection, newest)
    finally:
        connection.close()
    log_event(
        logger,
        logging.INFO,
        f"session database: migrated from version {current or 'none'} to {newest}",
    )
