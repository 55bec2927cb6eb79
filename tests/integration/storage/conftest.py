"""A real SQLite file or PostgreSQL database, and a store on it. Each test of a store runs on both.

A module of tests that are about one of them defines its own `url`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.bootstrap import build_database
from app.sessions.base import SessionStore
from app.sessions.store import SqlSessionStore
from app.storage.base import Database, Worker
from app.storage.tables import metadata
from app.storage.url import is_postgres
from tests.support.servers import PostgresServer

TABLES = ", ".join(table.name for table in metadata.sorted_tables)


@pytest.fixture(scope="session")
def postgres_url(postgres: PostgresServer) -> str:
    """A database with the tables, which tests leave empty."""
    url = postgres.new_database()
    with closing(build_database(url)[0]) as database:
        database.ping()
    return url


@pytest.fixture
def empty_postgres(postgres: PostgresServer, postgres_url: str) -> Iterator[str]:
    yield postgres_url
    postgres.execute(f"TRUNCATE {TABLES} RESTART IDENTITY", postgres_url.rpartition("/")[2])


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        found: str = request.getfixturevalue("empty_postgres")
        return found
    return f"sqlite:///{tmp_path}/state/gateway.sqlite"


@pytest.fixture
def opened(url: str) -> Iterator[SimpleNamespace]:
    """The database and a worker that uses it."""
    database, worker = build_database(url)
    yield SimpleNamespace(database=database, worker=worker)
    worker.close()
    database.close()


@pytest.fixture
def database(opened: SimpleNamespace) -> Any:
    return opened.database


@pytest.fixture
def worker(opened: SimpleNamespace) -> Any:
    return opened.worker


@pytest.fixture
def store(database: Database, worker: Worker) -> SessionStore:
    return SqlSessionStore(database, worker)


@pytest.fixture
def another(url: str) -> Iterator[Callable[[], SimpleNamespace]]:
    """A function that opens the same database as another process would: `database`, `worker`, `store`."""
    others: list[SimpleNamespace] = []

    def build() -> SimpleNamespace:
        database, worker = build_database(url)
        others.append(
            SimpleNamespace(database=database, worker=worker, store=SqlSessionStore(database, worker))
        )
        return others[-1]

    yield build
    for other in others:
        other.worker.close()
        other.database.close()


@pytest.fixture
def as_kept(url: str) -> Callable[[str], str]:
    """What becomes of a text in a column: PostgreSQL has no NUL."""
    return lambda text: text.replace("\0", "\ufffd") if is_postgres(url) else text
