"""PostgreSQL goes away for a moment, under load: no accepted turn is lost, and none is stored twice."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.errors import StorageUnavailable
from app.messages import Message
from app.sessions.base import SessionStore
from app.sessions.store import SqlSessionStore
from app.storage.postgres import patience
from app.storage.postgres.database import PostgresDatabase
from app.storage.postgres.worker_lease import LEASE_SECONDS, WorkerLease, build
from tests.integration.storage.runs import HELLO, HI, accept, answer, messages_in
from tests.support.servers import PostgresServer

TALKERS = 6


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that these tests may stop."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def store(server: PostgresServer) -> Iterator[SessionStore]:
    database, worker = build(server.new_database())
    database.ping()
    assert worker.id
    yield SqlSessionStore(database, worker)
    worker.close()
    database.close()


class Talker(threading.Thread):
    """Has one run after the other in a session of its own, and counts what it was told is stored."""

    def __init__(self, store: SessionStore, name: str) -> None:
        super().__init__(daemon=True)
        self.store, self.key = store, name
        self.told: list[str] = []
        self.refused = 0
        self.errors: list[BaseException] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        try:
            while not self.stopped.is_set():
                self._turn(f"{self.key} {len(self.told) + self.refused}")
        except BaseException as error:
            self.errors.append(error)
            raise

    def _turn(self, run_id: str) -> None:
        try:
            accept(self.store, run_id, Message("user", run_id), key=self.key)
        except StorageUnavailable:
            self.refused += 1
            return
        self.store.runs.history(self.key, run_id)
        assert self.store.runs.append(run_id, [(HELLO, "step")])
        assert self.store.runs.finish(run_id, "finished", [(Message("assistant", run_id), "complete")])
        self.told.append(run_id)


@pytest.fixture
def talkers(store: SessionStore) -> Iterator[list[Talker]]:
    found = [Talker(store, f"agent:main:{number}") for number in range(TALKERS)]
    for one in found:
        one.start()
    yield found
    for one in found:
        one.stopped.set()
        one.join(60)


def turns(talkers: list[Talker]) -> int:
    return sum(len(one.told) for one in talkers)


def wait_for_more(talkers: list[Talker]) -> None:
    """Until each of them has told of another two turns."""
    wanted = [len(one.told) + 2 for one in talkers]
    deadline = time.monotonic() + 60
    while any(len(one.told) < most for one, most in zip(talkers, wanted, strict=True)):
        assert not any(one.errors for one in talkers), [one.errors for one in talkers]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def check(talkers: list[Talker], store: SessionStore) -> None:
    for one in talkers:
        one.stopped.set()
    for one in talkers:
        one.join(60)
        assert not one.is_alive()
        assert one.errors == []
        kept = messages_in(store.transcripts.messages(one.key))
        questions = [message.text for message in kept if message.role == "user"]
        answers = [message.text for message in kept if message.role == "assistant" and message != HELLO]
        assert answers == one.told
        assert [text for text in questions if text in one.told] == one.told
        assert len(set(questions)) == len(questions)
        assert kept.count(HELLO) == len(one.told)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
def test_a_restart(
    server: PostgresServer,
    store: SessionStore,
    talkers: list[Talker],
    how: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "SECONDS", 60.0)  # a busy machine starts it slowly
    monkeypatch.setattr(patience, "PATIENT_SECONDS", 60.0)
    wait_for_more(talkers)
    for _ in range(2):
        server.stop(how)
        time.sleep(0.5)
        start_again(server)
        wait_for_more(talkers)
    check(talkers, store)
    assert sum(one.refused for one in talkers) == 0


def test_connections_that_are_ended_one_by_one(
    server: PostgresServer, store: SessionStore, talkers: list[Talker]
) -> None:
    for _ in range(10):
        wait_for_more(talkers)
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'openclaw-gateway' AND random() < 0.5"
        )
    check(talkers, store)


def test_a_server_that_stands_still(
    server: PostgresServer, store: SessionStore, talkers: list[Talker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """New runs are refused in time; those that were accepted are stored when it goes on."""
    monkeypatch.setattr(patience, "SECONDS", 1.0)
    wait_for_more(talkers)
    with stopped(server):
        started = time.monotonic()
        with pytest.raises(StorageUnavailable):
            accept(store, "refused", key="other")
        assert time.monotonic() - started < 10
    wait_for_more(talkers)
    check(talkers, store)


def test_what_is_away_for_long_is_told_in_time_and_comes_back(
    server: PostgresServer, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.5)
    monkeypatch.setattr(patience, "PATIENT_SECONDS", 1.5)
    accept(store, "r1")
    server.stop()
    for work in (
        lambda: accept(store, "r2"),
        lambda: store.runs.settings_of("k"),
        lambda: store.index.sessions(10),
        lambda: store.maintenance.ping(),
        lambda: answer(store, "r1"),
    ):
        started = time.monotonic()
        with pytest.raises(StorageUnavailable, match="cannot be reached") as failure:
            work()
        assert failure.value.retry_after
        assert time.monotonic() - started < 5
    start_again(server)
    assert answer(store, "r1")
    assert messages_in(store.transcripts.messages("k")) == [HI, HELLO]


def test_a_run_ends_though_nobody_could_renew_the_workers_lease_for_long(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    database = PostgresDatabase(server.new_database())
    worker = WorkerLease(database, clock=lambda: now)
    store = SqlSessionStore(database, worker)
    accept(store, "r1")
    now += 2 * LEASE_SECONDS
    server.stop()
    monkeypatch.setattr(patience, "SECONDS", 0.2)
    ended: list[bool] = []
    ending = threading.Thread(target=lambda: ended.append(answer(store, "r1")))
    ending.start()
    with pytest.raises(StorageUnavailable):
        accept(store, "r2")
    start_again(server)
    ending.join(60)
    assert ended == [True]
    assert messages_in(store.transcripts.messages("k")) == [HI, HELLO]
    worker.close()
    database.close()


def start_again(server: PostgresServer) -> None:
    """After a SIGKILL the server's children need a moment to notice, and it does not start before."""
    deadline = time.monotonic() + 60
    while True:
        try:
            server.start()
            return
        except AssertionError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


class stopped:  # noqa: N801
    """The server and all its processes stand still inside the block."""

    def __init__(self, server: PostgresServer) -> None:
        import psutil

        assert server.process is not None
        parent = psutil.Process(server.process.pid)
        self._processes: list[Any] = [parent, *parent.children()]

    def __enter__(self) -> None:
        for one in self._processes:
            one.suspend()

    def __exit__(self, *_error: object) -> None:
        for one in reversed(self._processes):
            one.resume()
