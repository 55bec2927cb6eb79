"""How this gateway uses SQLite: who may read its file, how a connection is set up."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from app.storage.sqlite.prepared import Prepared

_BEGIN = Prepared(text("BEGIN IMMEDIATE"))
BUSY_TIMEOUT = 5.0  # seconds a write waits for other processes


def make_file(path: Path) -> None:
    """Make sure that the file exists. New ones, and new directories, are for their owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def connect_writer(path: Path, *, foreign_keys: bool = True) -> Connection:
    """A connection whose transactions lock the database from their start, and wait for that.

    A transaction that only reads at first, and locks the database later, would fail when another process has
    written in between, whatever the busy timeout: what it has read is no longer true.
    """
    keys = f"foreign_keys={'ON' if foreign_keys else 'OFF'}"
    connection = _connect(path, BUSY_TIMEOUT, "journal_mode=WAL", "synchronous=NORMAL", keys)
    event.listen(connection.engine, "begin", _begin_immediate)
    return connection


def connect_nonblocking_writer(path: Path) -> Connection:
    """The same, but it never waits: not for a lock (it fails at once), and not for the disk.

    Without checkpoints a commit is only a copy to the system's memory. Therefore `checkpoint` must be called
    now and then with the connection of a writer that may block.
    """
    connection = _connect(path, 0, "synchronous=NORMAL", "foreign_keys=ON", "wal_autocheckpoint=0")
    event.listen(connection.engine, "begin", _begin_immediate)
    return connection


def connect_reader(path: Path, busy_timeout: float = 0) -> Connection:
    """A connection that cannot write. Each statement sees the database as it is at that moment.

    It waits `busy_timeout` seconds in the rare moments when even reading is locked.
    """
    return _connect(path, busy_timeout, "query_only=ON")


def set_busy_timeout(connection: Connection, seconds: float) -> None:
    """How long this connection's transactions wait for other processes, from now on."""
    _outside_transaction(connection, f"PRAGMA busy_timeout={int(seconds * 1000)}")


def checkpoint(connection: Connection) -> None:
    """Move what was written from the log to the file, and start the log again. Waits for the disk."""
    _outside_transaction(connection, "PRAGMA wal_checkpoint(PASSIVE)")
    with connection.begin():
        probe(connection, 0)  # the first write after a checkpoint waits for the disk too: let it be this one


def probe(connection: Connection, number: int) -> None:
    """Write a few bytes that nothing reads, in the present transaction. Fails if writing does not work."""
    connection.exec_driver_sql(f"PRAGMA user_version={number % 2**31}")


def _connect(path: Path, busy_timeout: float, *pragmas: str) -> Connection:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"timeout": busy_timeout, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _set_up(driver: sqlite3.Connection, _record: Any) -> None:
        driver.isolation_level = None  # transactions begin where we say, not where the driver guesses
        for pragma in pragmas:
            driver.execute(f"PRAGMA {pragma}")

    return engine.connect()


def _outside_transaction(connection: Connection, statement: str) -> None:
    driver = connection.connection.dbapi_connection
    assert driver is not None
    driver.cursor().execute(statement)


def _begin_immediate(connection: Connection) -> None:
    _BEGIN.all(connection, {})
