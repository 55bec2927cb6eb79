"""Transactions on a real PostgreSQL, what breaks them, and what is reported when it lasts."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from app.errors import StorageUnavailable
from app.messages import Message, Usage
from app.sessions.base import SessionStore
from app.sessions.rows import ANY
from app.sessions.store import SqlSessionStore
from app.storage.base import nothing_settled
from app.storage.migrate import known_versions
from app.storage.postgres import patience
from app.storage.postgres.connection import PipelinedConnection
from app.storage.postgres.database import PostgresDatabase
from app.storage.postgres.worker_lease import build
from app.storage.tables import documents
from tests.integration.storage.conftest import TABLES
from tests.integration.storage.programs import output, start_postgres
from tests.integration.storage.runs import HELLO, HI, accept, answer, column, messages_in
from tests.support.postgres_proxy import PostgresProxy
from tests.support.servers import PostgresServer

SECRET = "a secret of the user"


@pytest.fixture
def url(empty_postgres: str) -> str:
    return empty_postgres


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[PostgresProxy]:
    with PostgresProxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture
def cut_store(proxy: PostgresProxy, url: str) -> Iterator[SessionStore]:
    """A store that reaches the database through the proxy."""
    database, worker = build(proxy.url(url))
    database.ping()
    assert worker.id
    yield SqlSessionStore(database, worker)
    worker.close()
    database.close()


def add(connection: Connection, name: str = "d", content: str = "{}") -> None:
    connection.execute(documents.insert(), {"name": name, "content": content, "updated_at": 1})


ADD = documents.insert().values(name="prepared", content="{}", updated_at=1)
NAMES = select(documents.c.name).order_by(documents.c.name)


def names(database: PostgresDatabase) -> list[str]:
    return [name for (name,) in database.rows(database.prepare(NAMES), {})]


def disconnect_all(postgres: PostgresServer, url: str) -> None:
    where = f"datname = '{url.rpartition('/')[2]}'"
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {where}")


class TestTransactions:
    def test_building_opens_nothing(self):
        PostgresDatabase("postgresql://127.0.0.1:1/nothing").close()

    @pytest.mark.parametrize("is_prepared", [False, True])
    def test_all_of_it_is_stored_or_nothing(self, database, is_prepared):
        prepared = database.prepare(ADD)

        def fail(connection: Connection) -> None:
            if is_prepared:
                prepared.all(connection, {})
            else:
                add(connection)
            raise ZeroDivisionError

        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                database.write(fail)
        assert names(database) == []
        database.write(add)
        database.write(lambda connection: prepared.all(connection, {}))
        assert names(database) == ["d", "prepared"]

    def test_statements_of_both_kinds_keep_their_order(self, database):
        prepared = database.prepare(ADD)

        def work(connection: Connection) -> int:
            prepared.all(connection, {})
            changed = connection.execute(documents.update().values(content="changed")).rowcount
            prepared_again.all(connection, {})
            return changed

        prepared_again = database.prepare(documents.update().values(content=documents.c.content + "!"))
        assert database.write(work) == 1
        assert database.read(lambda c: c.execute(select(documents.c.content)).scalar()) == "changed!"

    def test_one_that_changes_nothing(self, database):
        assert database.write(lambda _: 1) == 1
        assert database.write(lambda connection: connection.execute(select(1)).scalar()) == 1

    @pytest.mark.parametrize("is_prepared", [False, True])
    def test_a_violated_constraint_passes_without_values(self, database, is_prepared):
        statement = documents.insert().values(name=SECRET, content=SECRET, updated_at=1)
        prepared = database.prepare(statement)

        def work(connection: Connection) -> None:
            if is_prepared:
                prepared.all(connection, {})
            else:
                connection.execute(statement)

        database.write(work)
        with pytest.raises(IntegrityError) as failure:
            database.write(work)
        assert SECRET not in str(failure.value)
        assert names(database) == [SECRET]

    def test_what_fails_at_the_end_leaves_a_connection_that_works(self, database):
        prepared = database.prepare(ADD)

        def work(connection: Connection) -> None:
            connection.execute(select(1))
            prepared.all(connection, {})  # which waits for the COMMIT

        database.write(work)
        for _ in range(3):
            with pytest.raises(IntegrityError):
                database.write(work)
        database.write(add)
        assert names(database) == ["d", "prepared"]

    def test_reading_leaves_no_transaction_behind(self, database, postgres, url):
        database.read(lambda connection: connection.execute(NAMES).all())
        streamed = NAMES.execution_options(stream_results=True)
        assert database.read(lambda connection: list(connection.execute(streamed))) == []
        where = f"state LIKE 'idle in%' AND datname = '{url.rpartition('/')[2]}'"
        assert postgres.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {where}") == [(0,)]

    def test_scanning_cannot_write_and_has_a_time_limit(self, database, monkeypatch):
        statement = "DELETE FROM documents"
        options = {"stream_results": False}
        with pytest.raises(StorageUnavailable):
            database.scan(lambda connection: connection.exec_driver_sql(statement, execution_options=options))
        assert database.scan(lambda connection: connection.execute(NAMES).all()) == []
        monkeypatch.setattr("app.storage.postgres.connect.SCAN_SECONDS", 1)
        database.close()
        with pytest.raises(StorageUnavailable, match="took too long"):
            database.scan(lambda connection: connection.execute(select(func.pg_sleep(20))).all())
        assert database.scan(lambda connection: connection.execute(NAMES).all()) == []

    def test_it_opens_again_after_close(self, database):
        database.write(add)
        database.close()
        assert names(database) == ["d"]

    def test_no_transaction_sees_another_ones_beginning(self, database):
        found: list[str] = []

        def work(connection: Connection) -> None:
            add(connection)
            reader = threading.Thread(target=lambda: found.extend(names(database)))
            reader.start()
            reader.join()

        database.write(work)
        assert found == []

    def test_a_turn_takes_few_round_trips(self, store, monkeypatch):
        """Each costs the worker more than the statements in it."""
        accept(store, "first")
        answer(store, "first")
        trips: list[int] = []
        send = PipelinedConnection._send
        monkeypatch.setattr(PipelinedConnection, "_send", lambda self: trips.append(1) or send(self))
        store.runs.settings_of("k")
        accept(store, "r1")
        store.runs.history("k", "r1")
        answer(store, "r1")
        assert len(trips) == 6


class TestKinds:
    """What SQLite takes and PostgreSQL has another opinion of."""

    def test_texts(self, store, database):
        long, odd = "x" * 300, "a\0b \udc80 \ud83d'; -- %s %(x)s $1 :x \\"
        store.runs.accept(
            long, "k", long, odd, long, [Message("user", odd.replace("\udc80", "").replace("\ud83d", ""))]
        )
        found = store.index.describe("k")
        assert (found.label, found.agent_id) == ("a\ufffdb \ufffd \ufffd'; -- %s %(x)s $1 :x \\", long)
        store.runs.finish(long, "failed", [], long, long, odd, odd)
        assert column(database, "error_message", long) == found.label

    def test_numbers(self, store):
        accept(store, "r1")
        store.runs.finish("r1", "finished", [], usage=Usage(10**12, 10**13))
        accept(store, "r2")
        store.runs.finish("r2", "finished", [], usage=Usage(1, 2))
        (row,) = store.usage.totals(0, 10**14)
        assert (row.prompt_tokens, row.completion_tokens) == (10**12 + 1, 10**13 + 2)
        assert type(row.prompt_tokens) is int

    def test_settings_with_every_character_can_be_searched(self, store):
        store.index.patch(
            "k", "main", {"note": "\0 \\u0000 \\\\u0000 \ud800", "spawnedBy": "agent:main:parent"}
        )
        settings = store.runs.settings_of("k")
        assert settings["note"] == "\ufffd \\u0000 \\\\u0000 \ufffd"
        found = store.index.sessions(10, where=ANY.__class__(spawned_by="agent:main:parent"))
        assert [one.key for one in found] == ["k"]

    def test_search_reads_many_messages_in_pieces(self, store):
        for number in range(30):
            accept(store, f"r{number}", Message("user", f"crane {number} " + "x" * 10_000), key=f"k{number}")
        assert len(store.search.search("CRANE", ANY, 50)) == 30
        assert store.search.search("100%_", ANY, 50) == []


class TestAway:
    def test_a_connection_that_broke_while_it_was_idle_is_not_noticed(self, store, database, postgres, url):
        accept(store, "r1")
        for _ in range(3):
            disconnect_all(postgres, url)
            assert messages_in(store.runs.history("k", "r1")) == []
        disconnect_all(postgres, url)
        assert answer(store, "r1")
        assert len(store.search.search("hi", ANY, 10)) == 1
        disconnect_all(postgres, url)
        assert len(store.search.search("hi", ANY, 10)) == 1

    @pytest.mark.parametrize("cut", ["before", "behind"])
    def test_the_turn_of_a_run_is_stored_once_wherever_the_connection_breaks(
        self, cut_store, proxy, store, cut
    ):
        for turn in range(3):
            run_id = f"r{turn}"
            proxy.cut = cut
            assert accept(cut_store, run_id) == turn + 1
            proxy.cut = cut
            assert cut_store.runs.append(run_id, [(HELLO, "step")])
            proxy.cut = cut
            cut_store.runs.reconcile(run_id, [], [HI])
            proxy.cut = cut
            assert cut_store.runs.finish(run_id, "finished", [(HELLO, "complete")])
            proxy.cut = cut
            cut_store.index.patch("k", "main", {"turn": turn})
        assert proxy.cuts == 15
        assert messages_in(store.transcripts.messages("k")) == [HI, HELLO] * 3
        assert store.runs.settings_of("k") == {"turn": 2}

    def test_what_may_be_stored_is_not_done_twice(self, cut_store, proxy, store):
        accept(cut_store, "r1")
        proxy.cut = "behind"
        with pytest.raises(StorageUnavailable, match="is not known"):
            cut_store.index.reset("k")
        assert store.index.describe("k").revision == 1
        proxy.cut = "before"
        with pytest.raises(StorageUnavailable, match="is not known"):
            cut_store.index.delete("k")
        assert store.index.describe("k") is not None

    def test_what_may_be_done_twice_is(self, cut_store, proxy):
        database = cut_store.runs._database
        proxy.cut = "before"
        database.write(add, settled=nothing_settled)
        assert names(database) == ["d"]

    def test_a_server_that_does_not_answer_holds_nobody_longer_than_it_may(
        self, cut_store, proxy, monkeypatch
    ):
        monkeypatch.setattr(patience, "SECONDS", 1.0)
        proxy.is_silent = True
        started = time.monotonic()
        with pytest.raises(StorageUnavailable, match="cannot be reached") as failure:
            accept(cut_store, "r1")
        assert failure.value.retry_after
        with pytest.raises(StorageUnavailable):
            cut_store.maintenance.ping()
        assert time.monotonic() - started < 15
        proxy.is_silent = False
        proxy.cut_all()
        assert accept(cut_store, "r2") == 1

    def test_all_connections_in_use(self, url, monkeypatch):
        monkeypatch.setattr(patience, "SECONDS", 0.3)
        database = PostgresDatabase(url, most=2)
        database.ping()
        inside, leave = threading.Barrier(3), threading.Event()

        def hold(_connection: Connection) -> None:
            inside.wait(10)
            leave.wait(10)

        holders = [threading.Thread(target=database.read, args=(hold,)) for _ in range(2)]
        for holder in holders:
            holder.start()
        inside.wait(10)
        with pytest.raises(StorageUnavailable, match="all connections are in use") as failure:
            names(database)
        assert failure.value.retry_after
        monkeypatch.setattr(patience, "SECONDS", 30.0)
        waiting = threading.Thread(target=lambda: names(database))
        waiting.start()
        leave.set()
        for thread in (*holders, waiting):
            thread.join(10)
        assert names(database) == []
        database.close()

    def test_more_threads_than_connections(self, database):
        def work(number: int) -> None:
            for turn in range(10):
                database.write(partial(add, name=f"{number} {turn}"))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(names(database)) == 300

    def test_a_lost_deadlock_is_tried_again(self, database):
        database.write(lambda connection: (add(connection, "a"), add(connection, "b")))
        both = threading.Barrier(2, timeout=10)
        tries: list[str] = []

        def change(first: str, second: str) -> None:
            def work(connection: Connection) -> None:
                tries.append(first)
                for name in (first, second):
                    where = documents.c.name == name
                    connection.execute(documents.update().where(where).values(content="x"))
                    if name == first and len(tries) <= 2:
                        both.wait()

            database.write(work)

        other = threading.Thread(target=change, args=("b", "a"))
        other.start()
        change("a", "b")
        other.join(30)
        assert len(tries) == 3

    def test_prepared_statements_that_the_server_forgot(self, database, postgres, url):
        prepared = database.prepare(NAMES)
        database.rows(prepared, {})
        database.read(lambda connection: connection.exec_driver_sql("DEALLOCATE ALL"))
        assert database.rows(prepared, {}) == []

    def test_a_database_that_was_emptied_gets_its_tables_again(self, postgres, database):
        url = postgres.new_database()
        other = PostgresDatabase(url)
        other.write(add)
        for table in (*TABLES.split(", "), "alembic_version"):
            postgres.execute(f"DROP TABLE {table} CASCADE", url.rpartition("/")[2])
        assert names(other) == []
        other.close()


class TestRefused:
    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://127.0.0.1:1/x",
            "postgresql://u:hunter2@127.0.0.1:1/x",
            "postgres://nowhere.invalid/x",
        ],
    )
    def test_nobody_is_there(self, url, monkeypatch, caplog):
        monkeypatch.setattr(patience, "SECONDS", 0.2)
        database = PostgresDatabase(url)
        with pytest.raises(StorageUnavailable, match="cannot be reached") as failure:
            names(database)
        assert failure.value.retry_after
        assert "hunter2" not in caplog.text + str(failure.value)
        assert "session database: " in caplog.text

    def test_a_user_or_database_that_does_not_exist(self, postgres, monkeypatch, caplog):
        monkeypatch.setattr(patience, "SECONDS", 0.2)
        database = PostgresDatabase(postgres.url("nobody_made_this"))
        with pytest.raises(StorageUnavailable, match="DATABASE_URL"):
            names(database)
        assert "does not exist" in caplog.text

    def test_who_may_not_make_tables(self, postgres):
        url = postgres.new_database()
        name = url.rpartition("/")[2]
        postgres.execute("DROP ROLE IF EXISTS guest")
        postgres.execute("CREATE ROLE guest LOGIN")
        postgres.execute("REVOKE CREATE ON SCHEMA public FROM public", name)
        database = PostgresDatabase(url.replace("postgres@", "guest@"))
        with pytest.raises(StorageUnavailable, match="may not do what the gateway needs"):
            names(database)

    def test_tables_of_another_program(self, postgres):
        url = postgres.new_database()
        postgres.execute("CREATE TABLE sessions (id text)", url.rpartition("/")[2])
        database = PostgresDatabase(url)
        with pytest.raises(StorageUnavailable, match="tables of another program"):
            names(database)
        postgres.execute("CREATE SCHEMA mine", url.rpartition("/")[2])
        own = PostgresDatabase(f"{url}?options=-csearch_path%3Dmine")
        assert names(own) == []
        own.close()

    def test_a_database_of_a_newer_gateway_is_not_touched(self, postgres):
        url = postgres.new_database()
        database = PostgresDatabase(url)
        database.ping()
        postgres.execute("UPDATE alembic_version SET version_num = '9999'", url.rpartition("/")[2])
        newer = PostgresDatabase(url)
        with pytest.raises(StorageUnavailable, match="newer version of the gateway"):
            names(newer)
        assert names(database) == []  # who has it open goes on
        database.close()
        newer.close()

    def test_one_that_can_only_be_read(self, postgres, monkeypatch):
        monkeypatch.setattr(patience, "SECONDS", 0.3)
        url = postgres.new_database()
        database = PostgresDatabase(url)
        database.ping()
        name = url.rpartition("/")[2]
        postgres.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        disconnect_all(postgres, url)
        with pytest.raises(StorageUnavailable) as failure:
            database.write(add)
        assert failure.value.retry_after
        with pytest.raises(StorageUnavailable):
            database.ping()
        postgres.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        database.write(add)
        database.ping()
        database.close()


class TestProcesses:
    @pytest.mark.parametrize("patched", [False, True])
    def test_many_may_start_at_once_on_an_empty_database(self, postgres, patched):
        program = """
sys.stdin.readline()
store.runs.accept(sys.argv[2], "k", "main", None, "http", [Message("user", "hi")])
print(len(store.transcripts.messages("k")) > 0)
worker.close()
database.close()
"""
        url = postgres.new_database()
        others = [start_postgres(program, url, f"run {number}", patched=patched) for number in range(5)]
        for other in others:
            other.stdin.write("\n")
            other.stdin.flush()
        assert [output(other) for other in others] == ["True\n"] * 5
        database, worker = build(url)
        store = SqlSessionStore(database, worker)
        assert len(store.transcripts.messages("k")) == 5
        database.close()

    def test_a_fork_opens_connections_of_its_own(self, url):
        program = """
database.ping()
child = os.fork()
if child == 0:
    store.runs.accept("child", "k", "main", None, "http", [Message("user", "hi")])
    os._exit(0)
print(os.waitpid(child, 0)[1])
store.runs.accept("parent", "k", "main", None, "http", [Message("user", "hi")])
print(len(store.transcripts.messages("k")))
"""
        assert output(start_postgres(program, url)) == "0\n2\n"

    @pytest.mark.slow
    def test_a_killed_process_is_dead_and_its_run_is_interrupted(self, url, store, worker):
        program = """
store.runs.accept("killed", "k", "main", None, "http", [Message("user", "hi")])
print("accepted", flush=True)
sys.stdin.readline()
"""
        child = start_postgres(program, url)
        assert child.stdout.readline() == "accepted\n"
        assert store.maintenance.interrupt_orphans() == 0
        child.send_signal(signal.SIGKILL)
        child.communicate()
        deadline = time.monotonic() + 60
        while not store.maintenance.interrupt_orphans():
            assert time.monotonic() < deadline
            worker.renew()
            time.sleep(0.5)
        assert store.transcripts.messages("k")[0].run_state == "interrupted"

    def test_other_greenlets_run_while_one_waits(self, url):
        """For the server, for a lock in it, and for a long read in its thread.

        If one of them kept the loop, it would turn once or twice; on an idle machine it is some 400 times.
        """
        program = """
import gevent
from sqlalchemy import func, select

def sleep(connection):
    connection.execute(select(func.pg_sleep(0.5))).all()

def turns_during(work):
    job, turns = gevent.spawn(work), 0
    while not job.dead:
        gevent.sleep(0.001)
        turns += 1
    job.get()
    return turns

database.ping()
sleeper = database.prepare(select(func.pg_sleep(0.5)))
print(turns_during(lambda: database.read(sleep)) > 10)
print(turns_during(lambda: database.rows(sleeper, {})) > 10)
print(turns_during(lambda: database.scan(sleep)) > 10)
two = lambda: [gevent.spawn(database.write, sleep, alone="x") for _ in range(2)]
print(turns_during(lambda: gevent.joinall(two())) > 10)
worker.close()
database.close()
"""
        assert output(start_postgres(program, url, patched=True)) == "True\n" * 4

    def test_many_greenlets_write_and_nothing_is_lost(self, url, store):
        program = """
import gevent

def write(number):
    for turn in range(10):
        run_id = f"{number} {turn}"
        store.runs.accept(run_id, f"k{number % 5}", "main", None, "http", [Message("user", "hi")])
        store.runs.history(f"k{number % 5}", run_id)
        store.runs.finish(run_id, "finished", [(Message("assistant", "yes"), "complete")])

gevent.joinall([gevent.spawn(write, number) for number in range(40)], raise_error=True)
print("done")
worker.close()
database.close()
"""
        assert output(start_postgres(program, url, patched=True)) == "done\n"
        assert [store.transcripts.length(f"k{number}") for number in range(5)] == [160] * 5

    def test_a_greenlet_that_is_killed_leaves_a_connection_that_works(self, url):
        program = """
import gevent
from sqlalchemy import func, select

sleeper = database.prepare(select(func.pg_sleep(5)))
for _ in range(12):
    job = gevent.spawn(database.rows, sleeper, {})
    gevent.sleep(0.05)
    job.kill()
print(len(store.transcripts.messages("k")))
worker.close()
database.close()
"""
        assert output(start_postgres(program, url, patched=True)) == "0\n"


def test_the_log_says_when_it_migrated(postgres, caplog):
    database = PostgresDatabase(postgres.new_database())
    with caplog.at_level(logging.INFO, "app.storage"):
        database.ping()
    assert f"migrated from version none to {known_versions()[-1]}" in caplog.text
    database.close()
