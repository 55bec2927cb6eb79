"""One transaction, or one read, on a connection of the pool; it may be called again after it has failed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.storage.postgres.connection import PipelinedConnection
from app.storage.postgres.failures import is_lost
from app.storage.postgres.prepared import as_sqlalchemy_does, driver_of

R = TypeVar("R")


class Write(Generic[R]):
    """`fn` in a transaction. See `app.storage.base.Database.write`."""

    def __init__(
        self,
        fn: Callable[[Connection], R],
        alone: str | None,
        settled: Callable[[Connection], R | None] | None,
    ) -> None:
        self._fn = fn
        self._locks = () if alone is None else (alone,)
        self._settled = settled
        self._has_collided = False
        self._is_doubtful = False  # an earlier attempt may be stored

    def __call__(self, connection: Connection) -> R:
        driver = driver_of(connection)
        driver.begin(*self._locks)
        try:
            result = self._run(connection)
            _commit(connection, driver)
        except BaseException as error:
            if driver.commit_sent and isinstance(error, DBAPIError) and is_lost(error):
                self._is_doubtful = True
            _roll_back(connection)
            raise
        return result

    @property
    def is_unknown(self) -> bool:
        """Whether it may be stored, and there is no way to find out."""
        return self._is_doubtful and self._settled is None

    def may_collide(self) -> bool:
        """Whether a violated constraint may have been another worker's row at the same moment: once."""
        may, self._has_collided = not self._has_collided, True
        return may

    def _run(self, connection: Connection) -> R:
        if self._is_doubtful and self._settled is not None:
            found = self._settled(connection)
            if found is not None:
                return found
        return self._fn(connection)


class Read(Generic[R]):
    """`fn`, which stores nothing."""

    is_unknown = False

    def __init__(self, fn: Callable[[Connection], R]) -> None:
        self._fn = fn

    def __call__(self, connection: Connection) -> R:
        try:
            return self._fn(connection)
        finally:
            if connection.get_transaction() is not None:
                _roll_back(connection)

    def may_collide(self) -> bool:
        """It cannot."""
        return False


def _commit(connection: Connection, driver: PipelinedConnection) -> None:
    if connection.in_transaction():  # a statement was run by SQLAlchemy
        connection.commit()
        return
    try:
        driver.commit()
    except psycopg.Error as error:
        raise as_sqlalchemy_does(error, "COMMIT") from error


def _roll_back(connection: Connection) -> None:
    """A connection that cannot even do that is closed by the pool."""
    with suppress(Exception):
        if connection.get_transaction() is not None:  # after a failed COMMIT it is not active, but there
            connection.rollback()
        if not connection.invalidated:
            driver_of(connection).rollback()
