"""The database in a process patched by gevent, where one blocking call would stop every stream."""

from __future__ import annotations

from tests.integration.storage.programs import hold_lock, output, run, start

WATCH = """
import gevent
from tests.integration.storage.test_database import add, count

def turns_during(*works):
    # how often the event loop turned while they worked
    jobs, turns = [gevent.spawn(work) for work in works], 0
    while not all(job.dead for job in jobs):
        gevent.sleep(0.001)
        turns += 1
    for job in jobs:
        job.get()
    return turns
"""


def test_other_greenlets_run_while_a_write_waits_for_another_process(tmp_path):
    path = tmp_path / "gateway.sqlite"
    run("database.ping(); database.close()", path)
    other = hold_lock(path)
    program = start(
        WATCH
        + """
from app.storage.sqlite import connect as sqlite
sqlite.BUSY_TIMEOUT = 60.0

writing = gevent.spawn(database.write, add)
turns_during(lambda: print("read", count(database)), lambda: gevent.sleep(0.05))
print("still waiting", not writing.dead, flush=True)
writing.get()
print("written", count(database))
""",
        path,
        patched=True,
    )
    assert program.stdout is not None
    assert [program.stdout.readline() for _ in range(2)] == ["read 0\n", "still waiting True\n"]
    other.communicate("\n")
    assert output(program) == "written 1\n"


def test_writes_that_wait_in_a_queue_do_not_add_up_their_timeouts(tmp_path):
    path = tmp_path / "gateway.sqlite"
    run("database.ping(); database.close()", path)
    other = hold_lock(path)
    shown = run(
        WATCH
        + """
from app.storage.sqlite import connect as sqlite
sqlite.BUSY_TIMEOUT = 2.0

def refused():
    try:
        database.write(add)
    except StorageUnavailable:
        print("refused")

started = time.monotonic()
turns = turns_during(*[refused] * 5)
print(time.monotonic() - started < 8, turns > 50 or turns)  # one after the other would take 10 s
""",
        path,
        patched=True,
    )
    other.communicate("\n")
    assert shown == "refused\n" * 5 + "True True\n"


def test_many_greenlets_write_and_nothing_is_lost(tmp_path):
    shown = run(
        WATCH
        + """
def write(number):
    for attempt in range(20):
        database.write(lambda connection: add(connection, f"{number} {attempt}"), bulky=attempt % 3 == 0)

gevent.joinall([gevent.spawn(write, number) for number in range(50)], raise_error=True)
print(count(database))
database.close()
""",
        tmp_path / "gateway.sqlite",
        patched=True,
    )
    assert shown == "1000\n"


def test_runs_are_stored_in_the_order_of_the_calls(tmp_path):
    """Tickets of a lane are taken before runs are stored: the runs must be numbered in the same order."""
    shown = run(
        """
import gevent, threading
started, numbers = [], {}

def accept(number):
    started.append(number)
    run_id, messages = f"run {number}", [Message("user", "hi")]
    numbers[number] = store.runs.accept(run_id, "k", "main", None, "http", messages).number

blocker = sqlite3.connect(path, isolation_level=None) if database.ping() is None else None
blocker.execute("BEGIN IMMEDIATE")
jobs = [gevent.spawn(accept, number) for number in range(30)]
gevent.sleep(0.2)
blocker.execute("COMMIT")
blocker.close()
late = [gevent.spawn(accept, number) for number in range(30, 60)]
gevent.joinall(jobs + late, raise_error=True)
print(started == list(range(60)), [numbers[number] for number in started] == list(range(1, 61)))
database.close()
""",
        tmp_path / "gateway.sqlite",
        patched=True,
    )
    assert shown == "True True\n"
