"""The versions of the tables, and Alembic, which brings a database from one to the next.

The version a database has is the number in its `alembic_version`; the newest one is the highest file in
`migrations/versions/`.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from app.errors import StorageUnavailable
from app.storage.tables import metadata

SCRIPTS = Path(__file__).parent / "migrations"


def known_versions() -> list[str]:
    """All versions this code knows, oldest first: the numbers that the migrations' names start with."""
    return sorted(path.name.split("_")[0] for path in (SCRIPTS / "versions").glob("[0-9]*_*.py"))


def current_version(connection: Connection) -> str | None:
    """The version of the database; None for one without tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return version


def refuse_newer(version: str | None) -> None:
    """Raise StorageUnavailable if a gateway with migrations that this one lacks has written the database."""
    if version is not None and version not in known_versions():
        raise StorageUnavailable(
            "The session database was written by a newer version of the gateway. "
            "Run that version, or point storage.url at another database."
        )


def create_tables(connection: Connection, version: str) -> None:
    """Make the tables of an empty database, as all migrations up to `version`, the newest, would.

    A first start needs no Alembic for that (`run_alembic`).
    """
    metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})


def run_alembic(connection: Connection, version: str) -> None:
    """Migrate to that version, inside the transaction that `connection` is in."""
    # Alembic takes 0.2 s and 12 MiB, which only the first start of a newer version should cost.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, version)
