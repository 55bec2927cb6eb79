"""Statements of the hot path: written and checked with SQLAlchemy, sent without it and without psycopg's
cursors, which together take more time than all the rest of a round trip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy import ClauseElement, Connection, Select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError

from app.storage.base import Row
from app.storage.postgres.connection import Command, PipelinedConnection
from app.storage.postgres.text import as_stored

_DIALECT = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


class Prepared:
    """`statement` as PostgreSQL's text (see `app.storage.base.PreparedStatement`).

    One that has no rows is sent with the next one that has, or with the end of the transaction, where its
    failure is raised.
    """

    def __init__(self, statement: ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=_DIALECT)
        text = str(compiled)
        self._text = text
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._command = Command(text.encode(), f"oc_{digest[:16]}".encode())
        self._names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self.only_reads = isinstance(statement, Select)
        self._has_rows = self.only_reads or bool(getattr(statement, "_returning", ()))
        # What the statement itself holds, like `state = 'running'`; parameters without a value are None here.
        self._own = {name: value for name, value in compiled.params.items() if value is not None}

    def all(self, connection: Connection, values: Mapping[str, Any]) -> list[Row]:
        """Run it; its rows, if it has any."""
        driver = driver_of(connection)
        try:
            if self._has_rows:
                return driver.rows(self._command, self._dumped(values))
            driver.queue(self._command, self._dumped(values))
        except psycopg.Error as error:
            raise as_sqlalchemy_does(error, self._text) from error
        return []

    def one_or_none(self, connection: Connection, values: Mapping[str, Any]) -> Row | None:
        """Run it; its first row, or None."""
        rows = self.all(connection, values)
        return rows[0] if rows else None

    def many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once with each of `rows`."""
        for values in rows:
            self.all(connection, values)

    def _dumped(self, values: Mapping[str, Any]) -> list[bytes | None]:
        own = self._own
        return [dump(values[name] if name in values else own[name]) for name in self._names]


def dump(value: Any) -> bytes | None:
    """A value as the server reads it."""
    if isinstance(value, str):
        return as_stored(value)
    if value is None:
        return None
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, int | float):
        return repr(value).encode()
    raise TypeError(f"no prepared statement takes a {type(value).__name__}")


def driver_of(connection: Connection) -> PipelinedConnection:
    """Our own connection under SQLAlchemy's."""
    driver: Any = connection.connection.dbapi_connection
    return driver  # type: ignore[no-any-return]


def as_sqlalchemy_does(error: psycopg.Error, text: str) -> BaseException:
    """The driver's error as SQLAlchemy raises it, without values."""
    return DBAPIError.instance(text, None, error, psycopg.Error, hide_parameters=True, dialect=_DIALECT)
