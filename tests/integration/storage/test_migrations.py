"""From no file, or an older version of the tables, to the newest."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from app.errors import StorageUnavailable
from app.sessions.store import SqlSessionStore
from app.storage.migrate import SCRIPTS, create_tables, current_version, known_versions, run_alembic
from app.storage.sqlite.connect import connect_writer, make_file
from app.storage.sqlite.database import SqliteDatabase
from app.storage.sqlite.worker_lock import WorkerLock
from app.storage.tables import metadata
from app.storage.url import sqlite_file
from tests.integration.storage.programs import output, run, start


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/gateway.sqlite"


def test_alembic_finds_the_same_versions():
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [known_versions()[-1]]
    assert sorted(script.revision for script in scripts.walk_revisions()) == known_versions()


def shape_of(connection):
    """Tables, columns, indexes and constraints, whatever the order of columns, and the version."""
    found = inspect(connection)
    return {
        table: (
            sorted(f"{one['name']} {one['type']} {one['nullable']}" for one in found.get_columns(table)),
            sorted(
                str((one["name"], one["column_names"], one["unique"])) for one in found.get_indexes(table)
            ),
            sorted(str(one) for one in found.get_foreign_keys(table)),
            found.get_pk_constraint(table)["constrained_columns"],
        )
        for table in found.get_table_names()
    } | {"version": current_version(connection)}


def test_the_migrations_create_the_tables_that_the_code_uses(tmp_path):
    """So does a first start, which runs no migrations."""
    shapes = []
    for name, make in (("migrated", run_alembic), ("new", create_tables)):
        path = tmp_path / name
        make_file(path)
        connection = connect_writer(path, foreign_keys=False)
        with connection.begin():
            make(connection, known_versions()[-1])
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        shapes.append(shape_of(connection))
        connection.close()
    assert shapes[0] == shapes[1]
    assert shapes[0]["version"] == known_versions()[-1]


def test_what_is_stored_survives_the_next_start(store, url):
    store.runs.accept("run", "k", "main", None, "http", [])
    again = SqliteDatabase(url)
    assert (
        again.read(lambda connection: connection.exec_driver_sql("SELECT key FROM sessions").scalar()) == "k"
    )
    again.close()


def test_alembic_is_only_imported_when_there_is_something_to_migrate(tmp_path):
    program = "database.ping(); print('alembic' in sys.modules); database.close()"
    path = tmp_path / "gateway.sqlite"
    assert run(program, path) == "False\n"
    assert run(program, path) == "False\n"
    older = tmp_path / "older.sqlite"
    make_file(older)
    connection = connect_writer(older, foreign_keys=False)
    with connection.begin():
        run_alembic(connection, "0001")
    connection.close()
    assert run(program, older) == "True\n"


@pytest.mark.parametrize("patched", [False, True])
def test_many_processes_may_start_at_once(tmp_path, patched):
    program = """
sys.stdin.readline()
store.runs.accept(sys.argv[2], "k", "main", None, "http", [Message("user", "hi")])
print(len(store.transcripts.messages("k")) > 0)
database.close()
"""
    path = tmp_path / "state" / "gateway.sqlite"
    others = [start(program, path, f"run {number}", patched=patched) for number in range(6)]
    for other in others:
        other.stdin.write("\n")
        other.stdin.flush()
    assert [output(other) for other in others] == ["True\n"] * 6
    assert run("print(len(store.transcripts.messages('k'))); database.close()", path) == "6\n"


def test_a_database_of_a_newer_gateway_is_not_touched(database, url):
    database.write(
        lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num='9999'")
    )
    database.close()
    newer = SqliteDatabase(url)
    for use in (newer.ping, lambda: newer.read(current_version)):
        with pytest.raises(StorageUnavailable, match="newer version of the gateway"):
            use()
    newer.close()


def test_the_log_says_when_it_migrated(database, caplog):
    with caplog.at_level(logging.INFO, "app.storage"):
        database.ping()
    assert f"migrated from version none to {known_versions()[-1]}" in caplog.text


FIRST_VERSION = (
    "INSERT INTO sessions VALUES (1, 'k', 'id-1', 'main', 'Ann', 1, 1000, 2000)",
    "INSERT INTO runs VALUES ('r1', 1, 1, 'o', 'http', 'finished', 1, 2, 'stop', NULL, NULL, 'a/x', 3, 4, 0)",
    """INSERT INTO messages VALUES (1, 1, 'r1', 1, 0, 'user', '{"content":"hi"}', 'complete', NULL, 1000)""",
)


def test_nothing_of_a_first_version_database_is_lost(url, tmp_path):
    path = sqlite_file(url)
    make_file(path)
    connection = connect_writer(path, foreign_keys=False)
    with connection.begin():
        run_alembic(connection, "0001")
        for statement in FIRST_VERSION:
            connection.exec_driver_sql(statement)
    connection.close()
    database, worker = SqliteDatabase(url), WorkerLock(tmp_path)
    store = SqlSessionStore(database, worker)
    found = store.index.describe("k")
    assert (found.session_id, found.label, found.run_count) == ("id-1", "Ann", 1)
    assert (found.revision, found.settings, found.title) == (0, {}, "hi")
    assert (found.model, found.total_tokens) == ("a/x", 7)
    store.index.patch("k", "main", {"thinkingLevel": "low"})
    assert store.index.reset("k")
    assert store.runs.accept("r2", "k", "main", None, "http", []).number == 2
    database.close()
    worker.close()
