"""Which workers are alive: those that hold a lock of the database, which frees it when they have gone."""

from __future__ import annotations

import os
import threading
import time
import uuid
from contextlib import suppress

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from app.storage.postgres.connect import MAX_CONNECT_SECONDS, Connector
from app.storage.postgres.database import PostgresDatabase
from app.storage.postgres.failures import ReportingFailures
from app.storage.postgres.pool import close
from app.storage.postgres.prepared import driver_of


class PostgresWorker:
    """Implements `Worker`: this process's name and lock, taken at first use (after a fork), held until
    `close`.
    """

    def __init__(self, database: PostgresDatabase, url: str) -> None:
        self._database = database
        self._connector = Connector(url)
        self._connection: Connection | None = None
        self._id: str | None = None
        self._pid: int | None = None
        self._taking = threading.Lock()

    @property
    def id(self) -> str:
        """The name that marks this process's runs. Raises StorageUnavailable."""
        if self._id is None or self._pid != os.getpid():
            with self._taking:
                if self._id is None or self._pid != os.getpid():
                    self._take()
        assert self._id is not None
        return self._id

    def _take(self) -> None:
        name = str(uuid.uuid4())
        with ReportingFailures():
            self._connection = self._connector.connect(time.monotonic() + MAX_CONNECT_SECONDS)
            self._connection.execute(select(func.pg_advisory_lock(func.hashtextextended(name, 0))))
            self._connection.commit()
        self._id, self._pid = name, os.getpid()

    def is_alive(self, worker_id: str) -> bool:
        """Whether the process of that name still runs."""
        if worker_id == self._id and self._pid == os.getpid():
            return True
        free = select(func.pg_try_advisory_xact_lock(func.hashtextextended(worker_id, 0)))
        return not self._database.read(lambda connection: connection.execute(free).scalar_one())

    def remove_stale(self) -> int:
        """Nothing is left of dead workers."""
        return 0

    def close(self) -> None:
        """Give the name up."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            with suppress(DBAPIError):  # the server frees it a moment after the connection, too
                driver_of(connection).deadline = time.monotonic() + MAX_CONNECT_SECONDS
                connection.execute(select(func.pg_advisory_unlock_all()))
            close(connection)
        self._id = self._pid = None


def build(url: str) -> tuple[PostgresDatabase, PostgresWorker]:
    """The database, and this process as one that uses it. Opens nothing."""
    database = PostgresDatabase(url)
    return database, PostgresWorker(database, url)
