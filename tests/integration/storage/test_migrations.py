"""From no file, or an older version of the tables, to the newest."""

from __future__ import annotations

import logging

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.errors import StorageUnavailable
from app.sessions.store import SqlSessionStore
from app.storage.migrate import SCRIPTS, current_version, known_versions, run_alembic
from app.storage.sqlite.connect import connect_writer, make_file
from app.storage.sqlite.database import SqliteDatabase
from app.storage.sqlite.worker_lock import WorkerLock
from app.storage.tables import metadata
from app.storage.url import sqlite_file
from tests.integration.storage.programs import output, run, start


def test_alembic_finds_the_same_versions():
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [known_versions()[-1]]
    assert sorted(script.revision for script in scripts.walk_revisions()) == known_versions()


def test_the_migrations_create_the_tables_that_the_code_uses(database):
    differences = database.write(
        lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
    )
    assert differences == []
    assert database.read(current_version) == known_versions()[-1]


def test_what_is_stored_survives_the_next_start(store, url):
    store.runs.accept("run", "k", "main", None, "http", [])
    again = SqliteDatabase(url)
    assert (
        again.read(lambda connection: connection.exec_driver_sql("SELECT key FROM sessions").scalar()) == "k"
    )
    again.close()


def test_alembic_is_only_imported_when_there_is_something_to_do(tmp_path):
    program = "database.ping(); print('alembic' in sys.modules); database.close()"
    assert run(program, tmp_path / "gateway.sqlite") == "True\n"
    assert run(program, tmp_path / "gateway.sqlite") == "False\n"


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
    assert store.runs.accept("r2", "k", "main", None, "http", []) == 2
    database.close()
    worker.close()
