"""A real SQLite file, and a store on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.sessions.base import SessionStore
from app.sessions.store import SqlSessionStore
from app.storage.sqlite.database import SqliteDatabase
from app.storage.sqlite.worker_lock import WorkerLock


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/gateway.sqlite"


@pytest.fixture
def database(url: str) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(url)
    yield database
    database.close()


@pytest.fixture
def worker(database: SqliteDatabase) -> Iterator[WorkerLock]:
    worker = WorkerLock(database.directory)
    yield worker
    worker.close()


@pytest.fixture
def store(database: SqliteDatabase, worker: WorkerLock) -> SessionStore:
    return SqlSessionStore(database, worker)
