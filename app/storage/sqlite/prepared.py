"""Statements of the hot path: written and checked with SQLAlchemy, run by the driver alone.

Between a statement and its driver SQLAlchemy does three times the work that SQLite has with it (caches,
contexts, results of every kind), which a conversation would pay for eight times a run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection, Select
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.exc import DBAPIError

from app.storage.base import Row

_DIALECT = dialect(paramstyle="named")


class Prepared:
    """`statement` as SQLite's text (see `app.storage.base.PreparedStatement`)."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self._text = str(compiled)
        self.only_reads = isinstance(statement, Select)
        # What the statement itself holds, like `state = 'running'`; parameters without a value are None here.
        self._own = {name: value for name, value in compiled.params.items() if value is not None}

    def all(self, connection: Connection, values: Mapping[str, Any]) -> list[Row]:
        """Run it; its rows, if it has any."""
        driver: Any = connection.connection.dbapi_connection
        try:
            rows: list[Row] = driver.execute(self._text, {**self._own, **values}).fetchall()
        except sqlite3.Error as error:
            raise self._as_sqlalchemy_does(error) from error
        return rows

    def one_or_none(self, connection: Connection, values: Mapping[str, Any]) -> Row | None:
        """Run it; its first row, or None."""
        rows = self.all(connection, values)
        return rows[0] if rows else None

    def many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once with each of `rows`."""
        driver: Any = connection.connection.dbapi_connection
        try:
            driver.executemany(self._text, rows)
        except sqlite3.Error as error:
            raise self._as_sqlalchemy_does(error) from error

    def _as_sqlalchemy_does(self, error: sqlite3.Error) -> BaseException:
        return DBAPIError.instance(
            self._text, None, error, sqlite3.Error, hide_parameters=True, dialect=_DIALECT
        )
