"""How this gateway connects to PostgreSQL: within which time, and with which settings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from app.storage.base import STREAMED
from app.storage.postgres.connection import PipelinedConnection
from app.storage.postgres.text import register
from app.storage.url import postgres_parameters

MIN_CONNECT_SECONDS = 2  # libpq's own
MAX_CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
LOCK_SECONDS = 10
IDLE_SECONDS = 10
SCAN_SECONDS = 20

# What the URL does not say itself. A server that has gone without a word is noticed within some ten seconds.
_DEFAULTS = {
    "application_name": "openclaw-gateway",
    "target_session_attrs": "read-write",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_OURS = {"client_encoding": "UTF8"}
# A transaction that nobody goes on with, as of a worker that stands still, must not keep its locks.
_SETTINGS = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
}


class Connector:
    """Makes connections to the database of `url`. Building it opens nothing. Raises ConfigError."""

    def __init__(self, url: str) -> None:
        given = postgres_parameters(url)
        self._parameters = {name: value for name, value in given.items() if name != "connect_timeout"}
        self._engine = _engine(self._connect)
        self._scan_engine = _engine(self._connect_scanner)
        self._asked = threading.local()  # of this greenlet or thread: its deadline

    def connect(self, deadline: float) -> Connection:
        """A connection, made by `deadline` (monotonic clock) or a little later. Raises DBAPIError."""
        self._asked.deadline = deadline
        return self._engine.connect()

    def connect_scanner(self) -> Connection:
        """One for long reads in a native thread, whose rows come as they are fetched."""
        connection = self._scan_engine.connect()
        return connection.execution_options(**STREAMED)

    def _connect(self) -> PipelinedConnection:
        return self._connected(self._asked.deadline - time.monotonic(), _SETTINGS)

    def _connect_scanner(self) -> PipelinedConnection:
        limits = {"statement_timeout": f"{SCAN_SECONDS}s", "default_transaction_read_only": "on"}
        return self._connected(MAX_CONNECT_SECONDS, {**_SETTINGS, **limits}, native=True)

    def _connected(
        self, seconds: float, settings: Mapping[str, str], *, native: bool = False
    ) -> PipelinedConnection:
        parameters: dict[str, Any] = {**_DEFAULTS, **self._parameters, **_OURS}
        connection = PipelinedConnection.connect(
            **parameters,
            connect_timeout=max(MIN_CONNECT_SECONDS, min(MAX_CONNECT_SECONDS, int(seconds))),
            autocommit=True,
            prepare_threshold=None,
        )
        register(connection)
        connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()).encode())
        connection.set_up(time.monotonic() + MAX_CONNECT_SECONDS, native=native)
        return connection


def _engine(creator: Callable[[], PipelinedConnection]) -> Engine:
    return create_engine(
        "postgresql+psycopg://",
        creator=creator,
        poolclass=NullPool,
        hide_parameters=True,
        use_native_hstore=False,
    )
