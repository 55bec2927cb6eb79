"""A model check of leases and fences: random interleavings of workers that accept, write, stand still, die,
lose their connection and take each other's runs over, on the store's own SQL.

All messages between the workers are lost here: what they say to each other only makes things quicker. Time is
the test's: the monotonic clocks of the workers, and the database's, which may jump.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import BigInteger, cast, select

from app.errors import LeaseLost, RunAborted, SessionBusy, StorageUnavailable
from app.messages import Message
from app.sessions.orphans import Orphan, SqlOrphans
from app.sessions.run_store import SqlRunStore
from app.sessions.shared_lanes import check_own
from app.sessions.stored import AcceptedRun, NewRun
from app.storage.postgres.database import PostgresDatabase
from app.storage.postgres.worker_lease import LEASE_SECONDS, MARGIN_SECONDS, WorkerLease
from app.storage.sqlite.database import SqliteDatabase
from app.storage.tables import documents, messages, runs, sessions, workers
from tests.support.servers import PostgresServer

WORKERS = 3
KEYS = ("one", "two")
CLOCK = "clock"  # the document that is the database's clock
DATABASE_TIME = cast(
    select(documents.c.content).where(documents.c.name == CLOCK).scalar_subquery(), BigInteger
)
START = 1_000_000.0
TRIED = (LeaseLost, RunAborted, StorageUnavailable)

some_worker = st.integers(0, WORKERS - 1)
some_run = st.integers(0, 5)


class Connection:
    """The database as one worker reaches it, or does not."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.is_down = False

    def __getattr__(self, name: str) -> Any:
        if self.is_down and name in ("write", "read", "rows"):
            raise StorageUnavailable("The database is away.")
        return getattr(self._database, name)


@dataclass
class Held:
    """A run as the worker that works on it sees it."""

    id: str
    key: str
    accepted: AcceptedRun
    is_active: bool


@dataclass
class Process:
    connection: Connection
    lease: WorkerLease
    store: SqlRunStore
    orphans: SqlOrphans
    runs: list[Held] = field(default_factory=list)
    stands_still: bool = False


class Leases(RuleBasedStateMachine):
    database: Any = None  # set by the test

    @initialize()
    def begin(self) -> None:
        self.now, self.offset = START, 0.0
        self.count = 0
        self.confirmed: list[str] = []  # what the store said that it has stored
        self.newest: dict[str, int] = {}  # by session: the number of the run that stored last
        self.database.write(self._empty)
        self._set_clock()
        self.processes = [self._process() for _ in range(WORKERS)]

    def _empty(self, connection: Any) -> None:
        for table in (messages, runs, sessions, workers, documents):
            connection.execute(table.delete())
        connection.execute(documents.insert().values(name=CLOCK, content="0", updated_at=0))

    def _process(self) -> Process:
        connection = Connection(self.database)
        reached: Any = connection
        lease = WorkerLease(reached, DATABASE_TIME, lambda: self.now)
        return Process(connection, lease, SqlRunStore(reached, lease), SqlOrphans(reached, lease))

    def _set_clock(self) -> None:
        content = str(int((self.now + self.offset) * 1000))
        statement = documents.update().where(documents.c.name == CLOCK).values(content=content)
        self.database.write(lambda connection: connection.execute(statement))

    def _stored(self) -> list[Any]:
        columns = (runs.c.id, runs.c.worker, runs.c.fence, runs.c.state, runs.c.run_number, sessions.c.key)
        statement = select(*columns).join(sessions, sessions.c.id == runs.c.session)
        rows: list[Any] = self.database.read(lambda connection: connection.execute(statement).all())
        return rows

    def _read(self, statement: Any) -> list[Any]:
        found: list[Any] = self.database.read(
            lambda connection: connection.execute(statement).scalars().all()
        )
        return found

    def _row(self, run_id: str) -> Any:
        return next(row for row in self._stored() if row.id == run_id)

    def _awake(self, number: int) -> Process | None:
        process = self.processes[number]
        return None if process.stands_still else process

    def _held(self, number: int, run: int) -> tuple[Process, Held] | tuple[None, None]:
        process = self._awake(number)
        if process is None or not process.runs:
            return None, None
        return process, process.runs[run % len(process.runs)]

    def _owns(self, process: Process, held: Held, row: Any) -> bool:
        own = process.lease._id
        return row.state == "running" and (row.worker, row.fence) == (own, held.accepted.fence)

    # What happens

    @rule(seconds=st.sampled_from([0.2, 1.0, 2.9, 3.5, 7.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self._set_clock()

    @rule(late=st.one_of(st.none(), some_worker), times=st.sampled_from([2, 4, 7]))
    def the_workers_renew_regularly(self, late: int | None, times: int) -> None:
        """All but one that is late: only after such a time do workers call others dead."""
        for _ in range(times):
            self.time_passes(2.0)
            for number in range(WORKERS):
                if number != late:
                    self.renew(number)

    @rule(late=some_worker, heir=some_worker)
    def a_worker_is_late_and_another_takes_its_runs(self, late: int, heir: int) -> None:
        self.the_workers_renew_regularly(late, 7)
        if heir != late:
            self.take_over(heir)

    @rule(seconds=st.sampled_from([-3600.0, -0.5, 0.5, 3600.0]))
    def the_clock_of_the_database_jumps(self, seconds: float) -> None:
        self.offset += seconds
        self._set_clock()

    @rule(number=some_worker, still=st.booleans())
    def a_worker_stands_still_or_goes_on(self, number: int, still: bool) -> None:
        self.processes[number].stands_still = still

    @rule(number=some_worker, down=st.booleans())
    def a_worker_loses_its_connection_or_has_it_again(self, number: int, down: bool) -> None:
        self.processes[number].connection.is_down = down

    @rule(number=some_worker)
    def a_worker_dies_and_another_takes_its_place(self, number: int) -> None:
        self.processes[number] = self._process()

    @rule(number=some_worker)
    def renew(self, number: int) -> None:
        if (process := self._awake(number)) is not None:
            # A real worker stops its runs when it hears of the loss. Here they go on and try to write.
            with suppress(LeaseLost, StorageUnavailable):
                process.lease.renew()

    @rule(number=some_worker, key=st.sampled_from(KEYS), may_be_resumed=st.booleans())
    def accept(self, number: int, key: str, may_be_resumed: bool) -> None:
        if (process := self._awake(number)) is None:
            return
        self.count += 1
        run_id = f"run-{self.count}"
        details = NewRun(request="{}" if may_be_resumed else None, max_waiting=4)
        with suppress(StorageUnavailable, SessionBusy):
            accepted = process.store.accept(
                run_id, key, "main", None, "http", [Message("user", run_id)], details
            )
            process.runs.append(Held(run_id, key, accepted, is_active=not accepted.before))
            assert accepted.has_begun == (accepted.before == 0)

    @rule(number=some_worker, run=some_run)
    def look_whether_it_is_the_runs_turn(self, number: int, run: int) -> None:
        process, held = self._held(number, run)
        if process is None or held is None or held.is_active:
            return
        try:
            found = process.store.place(held.id, held.accepted.fence)
            check_own(found)
            if found is None or found.before:
                return
            if not held.accepted.has_begun and not process.store.begin(held.id, held.accepted.fence):
                raise LeaseLost("")
        except StorageUnavailable:
            return
        except TRIED:
            process.runs.remove(held)
            return
        held.is_active = True

    @rule(number=some_worker, run=some_run)
    def store_a_step_and_act(self, number: int, run: int) -> None:
        """What an agent does before it starts a tool."""
        process, held = self._held(number, run)
        if process is None or held is None or not held.is_active:
            return
        self.count += 1
        text = f"step {self.count} of {held.id}"
        row = self._row(held.id)
        may = self._owns(process, held, row)
        try:
            said = Message("assistant", text)
            stored = process.store.append(held.id, [(said, "step")], held.accepted.fence)
        except StorageUnavailable:
            return
        assert stored == may, "a write is stored if, and only if, the run is the writer's"
        if not stored:
            process.runs.remove(held)
            return
        self._confirm(held, text, row.run_number)
        with suppress(*TRIED):
            process.lease.check()
            assert self._owns(process, held, self._row(held.id)), "it acts on a run that is not its own"

    @rule(number=some_worker, run=some_run)
    def finish(self, number: int, run: int) -> None:
        process, held = self._held(number, run)
        if process is not None and held is not None and held.is_active:
            self._finish(process, held)

    def _finish(self, process: Process, held: Held) -> None:
        self.count += 1
        text = f"answer {self.count} of {held.id}"
        row = self._row(held.id)
        may = self._owns(process, held, row)
        try:
            stored = process.store.finish(
                held.id, "finished", [(Message("assistant", text), "complete")], fence=held.accepted.fence
            )
        except StorageUnavailable:
            return
        assert stored == may
        process.runs.remove(held)
        if stored:
            self._confirm(held, text, row.run_number)

    def _confirm(self, held: Held, text: str, run_number: int) -> None:
        self.confirmed.append(text)
        assert run_number >= self.newest.get(held.key, 0), "a later run of the session had begun before"
        self.newest[held.key] = run_number

    @rule(number=some_worker, run=some_run)
    def give_up(self, number: int, run: int) -> None:
        process, held = self._held(number, run)
        if process is not None and held is not None:
            with suppress(StorageUnavailable):
                if process.store.give_up(held.id, held.accepted.fence):
                    process.runs.remove(held)

    @rule(number=some_worker)
    def take_over(self, number: int) -> None:
        process = self._awake(number)
        if process is None:
            return
        with suppress(StorageUnavailable):
            for orphan in process.orphans.take_over(lambda orphan: orphan.request).taken:
                self._adopt(process, orphan)

    def _adopt(self, process: Process, orphan: Orphan) -> None:
        accepted = AcceptedRun(orphan.number, orphan.fence, before=1, has_begun=orphan.has_begun)
        process.runs.append(Held(orphan.run_id, orphan.session_key, accepted, is_active=False))

    # What always holds

    @invariant()
    def one_writer_and_one_active_run(self) -> None:
        rows = {row.id: row for row in self._stored()}
        holders = [
            (held, held.id)
            for process in self.processes
            for held in process.runs
            if self._owns(process, held, rows[held.id])
        ]
        ids = [run_id for _, run_id in holders]
        assert len(ids) == len(set(ids)), "two workers may write the same run"
        active = [held.key for held, _ in holders if held.is_active]
        assert len(active) == len(set(active)), "two runs of a session are active"

    @invariant()
    def a_worker_is_alive_while_it_relies_on_it(self) -> None:
        names = self._read(select(workers.c.id))
        for process in self.processes:
            lease = process.lease
            if lease._id is not None and self.now < lease._valid_until - MARGIN_SECONDS:
                assert lease._id in names, "it was declared dead too early"

    @invariant()
    def what_is_stored_is_what_was_confirmed(self) -> None:
        said = messages.c.role == "assistant"
        stored = self._read(select(messages.c.content).where(said).order_by(messages.c.id))
        assert [one.split('"')[3] for one in stored] == self.confirmed

    def teardown(self) -> None:
        """Whatever has happened: if nothing more does, all runs come to an end."""
        if not hasattr(self, "processes"):
            return
        for process in self.processes:
            process.stands_still = process.connection.is_down = False
        for _ in range(60):
            if all(row.state != "running" for row in self._stored()):
                return
            self.time_passes(0.5 * LEASE_SECONDS / 2)
            for number, process in enumerate(self.processes):
                self.renew(number)
                self.take_over(number)
                for run in range(len(process.runs)):
                    self.look_whether_it_is_the_runs_turn(number, run)
                for held in [one for one in process.runs if one.is_active]:
                    self._finish(process, held)
                self.one_writer_and_one_active_run()
        raise AssertionError([tuple(row) for row in self._stored() if row.state == "running"])


def check(database: Any, examples: int, steps: int) -> None:
    machine = type("Leases", (Leases,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def on_sqlite(examples: int, steps: int) -> None:
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if Path(memory).is_dir() else None) as folder:
        database = SqliteDatabase(f"sqlite:///{folder}/model.sqlite")
        try:
            check(database, examples, steps)
        finally:
            database.close()


def test_leases_and_fences_hold_on_sqlite() -> None:
    on_sqlite(examples=25, steps=30)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_leases_and_fences_hold_on_sqlite_for_long() -> None:
    on_sqlite(examples=150, steps=50)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_leases_and_fences_hold_on_postgres(postgres: PostgresServer) -> None:
    database = PostgresDatabase(postgres.new_database())
    try:
        check(database, examples=30, steps=40)
    finally:
        database.close()
