"""Brings a database to the newest version of the tables.

The version a database has is the number in its `alembic_version`; the newest one is the highest file in
`migrations/versions/`. Alembic itself is imported only when the two differ.
"""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect

from app.errors import StorageUnavailable
from app.storage.file_lock import locked
from app.storage.sqlite.connect import BUSY_TIMEOUT, connect_reader, connect_writer

log = logging.getLogger(__name__)

SCRIPTS = Path(__file__).parent / "migrations"
PATIENCE = 60.0  # seconds to wait for another process that migrates


def known_versions() -> list[str]:
    """All versions this code knows, oldest first: the numbers that the migrations' names start with."""
    return sorted(path.name.split("_")[0] for path in (SCRIPTS / "versions").glob("[0-9]*_*.py"))


def current_version(connection: Connection) -> str | None:
    """The version of the database; None for one without tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return version


def migrate(path: Path) -> None:
    """Bring the database to the newest version, unless it has it. Safe in several processes at once."""
    newest = known_versions()[-1]
    if _version_of(path) == newest:
        return
    with locked(path.with_name(path.name + ".lock"), PATIENCE):
        current = _version_of(path)
        if current != newest:
            _upgrade(path, current, newest)


def _version_of(path: Path) -> str | None:
    connection = connect_reader(path, BUSY_TIMEOUT)
    try:
        return current_version(connection)
    finally:
        connection.close()


def _upgrade(path: Path, current: str | None, newest: str) -> None:
    if current is not None and current not in known_versions():
        raise StorageUnavailable(
            "The session database was written by a newer version of the gateway. "
            "Run that version, or point storage.url at another file."
        )
    # Making a table anew, as SQLite's ALTER needs, would otherwise delete the rows that refer to it.
    connection = connect_writer(path, foreign_keys=False)
    try:
        with connection.begin():
            run_alembic(connection, newest)
    finally:
        connection.close()
    log.info("session database: migrated from version %s to %s", current or "none", newest)


def run_alembic(connection: Connection, version: str) -> None:
    # 0.2 s and 15 MiB that only the first start with a new version should cost.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, version)
