"""A real SQLite file, and a store on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.sessions.store import SessionStore
from app.storage.owners import OwnerLock
from app.storage.sqlite.database import Database


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/gateway.sqlite"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def owner(database: Database) -> Iterator[OwnerLock]:
    owner = OwnerLock(database.directory)
    yield owner
    owner.close()


@pytest.fixture
def store(database: Database, owner: OwnerLock) -> SessionStore:
    return SessionStore(database, owner)
