"""Processes that die, and processes that share a database."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from app.messages import Message
from tests.integration.storage.programs import output, run, start


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/gateway.sqlite"


@pytest.mark.parametrize("patched", [False, True])
def test_an_accepted_run_survives_kill_9(tmp_path, store, database, patched):
    path = database.directory / "gateway.sqlite"
    child = start(
        """
store.runs.accept("finished", "k", "main", None, "http", [Message("user", "first")])
store.runs.finish("finished", "finished", [(Message("assistant", "answer"), "complete")])
store.runs.accept("killed", "k", "main", None, "http", [Message("user", "second")])
print("accepted", flush=True)
sys.stdin.readline()
""",
        path,
        patched=patched,
    )
    assert child.stdout.readline() == "accepted\n"
    assert store.maintenance.interrupt_orphans() == 0
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert store.maintenance.interrupt_orphans() == 1
    assert list((database.directory / "owners").iterdir()) == []
    store.runs.accept("next", "k", "main", None, "http", [Message("user", "third")])
    history = [(one.message.text, one.run_state) for one in store.runs.history("k", "next")]
    assert history == [("first", "finished"), ("answer", "finished"), ("second", "interrupted")]


def test_a_write_killed_in_the_middle_leaves_nothing(tmp_path):
    path = tmp_path / "gateway.sqlite"
    child = start(
        """
from tests.integration.storage.test_database import add
database.write(lambda connection: add(connection, "before"))

def die(connection):
    add(connection, "within")
    os.kill(os.getpid(), signal.SIGKILL)

database.write(die)
""",
        path,
    )
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    query = "SELECT group_concat(key) FROM sessions"
    shown = run(
        f"print(database.read(lambda c: c.exec_driver_sql({query!r}).scalar())); database.close()", path
    )
    assert shown == "before\n"


@pytest.mark.parametrize("patched", [False, True])
def test_two_processes_write_at_once(tmp_path, patched):
    path = tmp_path / "gateway.sqlite"
    run("database.ping(); database.close()", path)
    program = """
sys.stdin.readline()
for number in range(150):
    run_id = f"{sys.argv[2]} {number}"
    store.runs.accept(run_id, "k", "main", None, "http", [Message("user", run_id)])
    store.runs.history("k", run_id)
    store.runs.finish(run_id, "finished", [(Message("assistant", run_id), "complete")])
print("done")
database.close()
"""
    children = [start(program, path, name, patched=patched) for name in ("one", "two", "three")]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    assert [output(child) for child in children] == ["done\n"] * 3
    count = """
kept = store.transcripts.messages("k")
print(len(kept), kept[-1].run_number, len({one.run_number for one in kept}))
database.close()
"""
    assert run(count, path) == "900 450 450\n"


def test_nothing_changes_between_a_transactions_read_and_its_write(tmp_path):
    path = tmp_path / "gateway.sqlite"
    table = "CREATE TABLE counter AS SELECT 0 AS n"
    run(f"database.write(lambda c: c.exec_driver_sql({table!r})); database.close()", path)
    add_one = """
def add(connection):
    seen = connection.exec_driver_sql("SELECT n FROM counter").scalar()
    time.sleep(0.001)
    connection.exec_driver_sql("UPDATE counter SET n = ?", (seen + 1,))

sys.stdin.readline()
for number in range(100):
    database.write(add, bulky=number % 2 == 0)
database.close()
"""
    children = [start(add_one, path) for _ in range(3)]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    assert [output(child) for child in children] == [""] * 3
    query = "SELECT n FROM counter"
    shown = run(
        f"print(database.read(lambda c: c.exec_driver_sql({query!r}).scalar())); database.close()", path
    )
    assert shown == "300\n"
