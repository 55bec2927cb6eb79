"""Transactions on a real SQLite file, and what they report to the operator when they fail."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from app.errors import ConfigError, StorageUnavailable
from app.storage.sqlite import connect as sqlite
from app.storage.sqlite.database import CHECKPOINT_EVERY, SqliteDatabase
from app.storage.tables import sessions
from tests.integration.storage.programs import hold_lock, output, run, start


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/gateway.sqlite"


SECRET = "a secret of the user"
NAMES = "key, session_id, agent_id, turns, created_at, updated_at"
ADD = f"INSERT INTO sessions ({NAMES}) VALUES (?, ?, ?, 1, 1, 1)"


def add(connection: Connection, key: str = "k") -> None:
    connection.exec_driver_sql(ADD, (key, SECRET, "main"))


HOLD_FILE = """
raw = sqlite3.connect(path, isolation_level=None)
raw.execute("PRAGMA locking_mode=EXCLUSIVE")
raw.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(0.5)
raw.execute("COMMIT")
raw.close()
"""
KEYS = select(sessions.c.key).order_by(sessions.c.key)


def keys(database: SqliteDatabase) -> list[tuple[str]]:
    return database.rows(database.prepare(KEYS), {})


def count(database: SqliteDatabase) -> int:
    return database.read(
        lambda connection: connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar()
    )


def journal_mode(connection: Connection) -> str:
    return connection.exec_driver_sql("PRAGMA journal_mode").scalar()


def test_building_opens_nothing(url, tmp_path):
    SqliteDatabase(url).close()
    assert list(tmp_path.iterdir()) == []


def test_new_files_are_for_their_owner_alone(database):
    database.ping()
    database.write(add)
    assert stat.S_IMODE(database.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in database.directory.iterdir()}
    assert set(modes) >= {"gateway.sqlite", "gateway.sqlite-wal"}
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("bulky", [False, True])
def test_a_transaction_is_stored_completely_or_not_at_all(database, bulky):
    def fail(connection: Connection) -> None:
        add(connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(fail, bulky=bulky)
    assert count(database) == 0
    database.write(add, bulky=bulky)
    assert count(database) == 1


@pytest.mark.parametrize("bulky", [False, True])
def test_every_connection_is_set_up(database, bulky):
    def settings(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert database.write(settings, bulky=bulky) == ["wal", 1, 1]


def test_reading_cannot_write(database):
    with pytest.raises(StorageUnavailable):
        database.read(lambda connection: connection.exec_driver_sql("DELETE FROM sessions"))
    assert count(database) == 0


def test_a_prepared_statement_reads_what_is_stored(database):
    assert keys(database) == []
    database.write(add)
    database.write(lambda connection: add(connection, "bulky"), bulky=True)  # by another connection
    assert keys(database) == [("bulky",), ("k",)]


def test_rows_takes_only_statements_that_read(database):
    with pytest.raises(AssertionError):
        database.rows(database.prepare(sessions.delete()), {})


def test_no_thread_reads_an_unfinished_transaction_of_another(database):
    database.ping()
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.extend(keys(database)))

    def work(connection: Connection) -> None:
        add(connection)
        reader.start()
        reader.join(0.2)
        assert not found
        add(connection, "l")

    database.write(work)
    reader.join()
    assert found == [("k",), ("l",)]


def test_it_opens_again_after_close(database):
    database.write(add)
    database.close()
    assert count(database) == 1


def test_the_log_does_not_grow_without_end(database):
    log = database.directory / "gateway.sqlite-wal"
    for number in range(CHECKPOINT_EVERY):
        database.write(lambda connection, key=f"first {number}": add(connection, key))
    size = log.stat().st_size
    for number in range(4 * CHECKPOINT_EVERY):
        database.write(lambda connection, key=f"then {number}": add(connection, key))
    assert log.stat().st_size < 2 * size


def test_a_file_that_was_removed_is_created_again(database):
    database.write(add)
    for path in database.directory.glob("gateway.sqlite*"):
        path.unlink()
    database.write(add)
    assert count(database) == 1


def test_a_violated_constraint_is_not_reported_as_a_storage_failure(database):
    database.write(add)
    with pytest.raises(IntegrityError) as failure:
        database.write(add)
    assert SECRET not in str(failure.value)


class TestLocked:
    def test_a_write_waits_for_another_process(self, database):
        database.ping()
        other = hold_lock(database.directory / "gateway.sqlite", "0.5")
        database.write(add)
        output(other)
        assert count(database) == 1

    def test_reading_does_not_wait(self, database):
        database.write(add)
        other = hold_lock(database.directory / "gateway.sqlite")
        assert count(database) == 1
        assert keys(database) == [("k",)]
        other.communicate("\n")

    def test_reading_waits_for_a_process_with_exclusive_access(self, database):
        database.write(add)
        database.close()  # no other process gets exclusive access while we have it open
        other = start(HOLD_FILE, database.directory / "gateway.sqlite")
        assert other.stdout.readline() == "locked\n"
        assert keys(database) == [("k",)]
        output(other)

    def test_a_write_fails_after_the_busy_timeout(self, database, monkeypatch):
        monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.2)
        database.ping()
        other = hold_lock(database.directory / "gateway.sqlite")
        with pytest.raises(StorageUnavailable, match="locked by another process") as failure:
            database.write(add)
        assert failure.value.retry_after == 1
        other.communicate("\n")
        database.write(add)
        assert count(database) == 1


class TestFailures:
    @pytest.mark.parametrize("bulky", [False, True])
    def test_a_full_disk(self, database, bulky):
        database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1"), bulky=bulky)

        def fill(connection: Connection) -> None:
            for number in range(500):
                add(connection, f"key {number}" + "x" * 1000)

        with pytest.raises(StorageUnavailable, match="is full") as failure:
            database.write(fill, bulky=bulky)
        assert_no_secret_in(failure.value, database)
        assert count(database) == 0
        database.ping()

    def test_a_file_size_limit(self, tmp_path):
        shown = run(
            """
            import resource
            from tests.integration.storage.test_database import add
            database.ping()
            size = os.path.getsize(path + "-wal")
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, size + 100_000))
            stored = 0
            try:
                while stored < 1000:
                    database.write(lambda connection: add(connection, f"key {stored}" + "x" * 1000))
                    stored += 1
            except StorageUnavailable as error:
                print(error)
            print(stored == database.read(
                lambda connection: connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar()
            ))
            """,
            tmp_path / "gateway.sqlite",
        )
        assert "its disk is full, over a quota or failing" in shown
        assert shown.endswith("True\n")

    @pytest.mark.parametrize("existing", [False, True])
    def test_a_directory_that_may_not_be_written(self, tmp_path_factory, existing):
        # The directories pytest makes are closed to the user that root becomes in the program.
        directory = tmp_path_factory.mktemp("closed")
        path = directory / "gateway.sqlite"
        if existing:
            run("database.ping(); database.close()", path)
            path.chmod(0o444)
        directory.chmod(0o555)
        shown = run(
            """
            if os.getuid() == 0:
                os.chdir(os.path.dirname(path))
                os.setgid(65534); os.setuid(65534)
                database = SqliteDatabase("sqlite:///gateway.sqlite")
            for attempt in (database.ping, database.close, database.ping):
                try:
                    attempt()
                except StorageUnavailable as error:
                    print(error)
            """,
            path,
        )
        directory.chmod(0o755)
        assert shown.count("cannot be opened or written") == 2

    def test_a_directory_that_cannot_be_created(self, tmp_path):
        (tmp_path / "file").touch()
        database = SqliteDatabase(f"sqlite:///{tmp_path}/file/state/gateway.sqlite")
        with pytest.raises(StorageUnavailable, match="state directory") as failure:
            database.ping()
        with pytest.raises(StorageUnavailable):
            count(database)
        assert_no_secret_in(failure.value, database)
        database.close()

    def test_a_damaged_file(self, database):
        database.directory.mkdir()
        (database.directory / "gateway.sqlite").write_bytes(b"this is not a database at all" * 100)
        with pytest.raises(StorageUnavailable, match="is damaged") as failure:
            database.ping()
        assert_no_secret_in(failure.value, database)


def assert_no_secret_in(error: StorageUnavailable, database: SqliteDatabase) -> None:
    for secret in (SECRET, "INSERT", "sessions", "PRAGMA", str(database.directory)):
        assert secret not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


class TestUrl:
    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
    def test_postgresql_is_refused_by_name(self, scheme):
        with pytest.raises(ConfigError, match="PostgreSQL") as refusal:
            SqliteDatabase(f"{scheme}://user:hunter2@host/db")
        assert "hunter2" not in str(refusal.value)

    @pytest.mark.parametrize(
        "url", ["", "sqlite://", "sqlite:///:memory:", "mysql://u:hunter2@h/d", "hunter2"]
    )
    def test_a_url_without_a_file_is_refused(self, url):
        with pytest.raises(ConfigError, match=r"storage\.url") as refusal:
            SqliteDatabase(url)
        assert "hunter2" not in str(refusal.value)
