"""Workers that do the same thing at the same moment, each on connections of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, select

from app.errors import GatewayError, IdempotencyKeyReused
from app.messages import Message
from app.sessions.base import SessionStore
from app.tools.approvals.document import AllowlistEntry
from app.tools.approvals.record import Resolver, outcome_of
from app.tools.approvals.store import SqlApprovalStore, SqlDocumentStore
from tests.integration.storage.runs import HELLO, HI, accept, messages_in
from tests.integration.storage.test_approvals import approval

R = TypeVar("R")
Another = Callable[[], SimpleNamespace]

ANN = Resolver("device", "ann")
ANSWER = [(HELLO, "complete")]
WORKERS = 4
ROUNDS = 8


@pytest.fixture
def workers(another: Another) -> list[Any]:
    """Several, with the database open."""
    found = [another() for _ in range(WORKERS)]
    for one in found:
        one.database.ping()
        assert one.worker.id
    return found


def at_once(works: list[Callable[[], R]]) -> list[R | GatewayError]:
    """What they return, or the error that they raise, when all of them begin together."""
    start = threading.Barrier(len(works))
    found: list[Any] = [None] * len(works)

    def run(place: int, work: Callable[[], R]) -> None:
        start.wait(30)
        try:
            found[place] = work()
        except GatewayError as error:
            found[place] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return found


def test_runs_of_one_new_session_have_one_number_each(workers: list[Any], store: SessionStore) -> None:
    for turn in range(ROUNDS):
        key = f"agent:main:{turn}"
        found = at_once(
            [lambda one=one, key=key: accept(one.store, f"{key} {one.worker.id}", key=key) for one in workers]
        )
        assert sorted(found) == list(range(1, WORKERS + 1))
        assert len(store.transcripts.messages(key)) == WORKERS
    assert store.index.count() == ROUNDS


def test_a_run_id_is_taken_once(workers: list[Any], store: SessionStore) -> None:
    for turn in range(ROUNDS):
        found = at_once(
            [lambda one=one, turn=turn: accept(one.store, f"r{turn}", key=one.worker.id) for one in workers]
        )
        assert [type(one) for one in found if one != turn + 1].count(IdempotencyKeyReused) <= WORKERS - 1
        assert sum(not isinstance(one, GatewayError) for one in found) == 1
    assert sum(len(store.transcripts.messages(one.worker.id)) for one in workers) == ROUNDS


def test_settings_that_are_set_at_once_are_all_kept(workers: list[Any], store: SessionStore) -> None:
    for turn in range(ROUNDS):
        key = f"agent:main:{turn}"
        at_once(
            [
                lambda place=place, one=one, key=key: one.store.index.patch(key, "main", {f"s{place}": 1})
                for place, one in enumerate(workers)
            ]
        )
        assert store.runs.settings_of(key) == {f"s{place}": 1 for place in range(WORKERS)}


def test_a_label_is_given_once(workers: list[Any], store: SessionStore) -> None:
    for turn in range(ROUNDS):
        label = {"label": f"Mine {turn}"}
        found = at_once(
            [
                lambda place=place, one=one, label=label: one.store.index.patch(f"k{place}", "main", label)
                for place, one in enumerate(workers)
            ]
        )
        assert sum(not isinstance(one, GatewayError) for one in found) == 1
        labels = [one.label for one in store.index.sessions(10)]
        assert labels.count(label["label"]) == 1


def test_a_run_that_is_reset_while_it_goes_on_stores_all_or_nothing(
    workers: list[Any], store: SessionStore
) -> None:
    first, second, *_ = workers
    for turn in range(ROUNDS):
        run_id = f"r{turn}"
        accept(first.store, run_id)
        works: list[Callable[[], bool]] = [
            lambda run_id=run_id: (
                first.store.runs.append(run_id, [(HI, "step")])
                and first.store.runs.finish(run_id, "finished", ANSWER)
            ),
            lambda: second.store.index.reset("k"),
        ]
        assert at_once(works)[1]
        kept = messages_in(store.transcripts.messages("k"))
        assert kept in ([], [HI, HELLO], [HELLO])
        store.index.reset("k")


def test_upkeep_never_takes_a_run_that_was_just_accepted(workers: list[Any], store: SessionStore) -> None:
    first, *others = workers
    for turn in range(ROUNDS):
        key, run_id = f"agent:main:{turn}", f"r{turn}"
        store.index.patch(key, "main", {})
        time.sleep(0.003)
        in_future = time.time() + 0.001

        def prune(one: Any, now: float = in_future) -> int:
            pruned: int = one.store.maintenance.prune(now, 0, 100).total
            return pruned

        works: list[Callable[[], object]] = [partial(prune, one) for one in others]
        works.append(partial(accept, first.store, run_id, key=key))
        at_once(works)
        assert messages_in(store.transcripts.messages(key)) == [HI]
        first.store.runs.finish(run_id, "finished", [])


def test_the_runs_of_a_dead_worker_are_interrupted_once(
    workers: list[Any], store: SessionStore, another: Another
) -> None:
    for turn in range(3):
        dead, key = another(), f"agent:main:{turn}"
        accept(dead.store, f"r{turn}", key=key)
        dead.store.runs.append(f"r{turn}", [(HELLO, "step")])
        dead.worker.close()
        found = at_once([one.store.maintenance.interrupt_orphans for one in workers])
        assert sorted(found) == [0] * (WORKERS - 1) + [1]  # type: ignore[type-var]
        assert messages_in(store.transcripts.messages(key)) == [HI, HELLO]


def test_an_approval_ends_once(workers: list[Any]) -> None:
    stores = [SqlApprovalStore(one.database, one.worker) for one in workers]
    for _ in range(ROUNDS):
        one = approval()
        stores[0].add(one)
        found = at_once(
            [lambda store=store, one=one: store.resolve(one.id, outcome_of("deny", ANN)) for store in stores]
        )
        assert sorted(found) == [False] * (WORKERS - 1) + [True]  # type: ignore[type-var]


def test_no_change_of_the_document_is_lost(workers: list[Any]) -> None:
    stores = [SqlDocumentStore(one.database, "") for one in workers]
    for turn in range(ROUNDS):

        def add(place: int, turn: int = turn) -> object:
            entry = AllowlistEntry(pattern=f"{turn} {place}")
            return stores[place].update(lambda present: present.with_entry("main", entry))

        at_once([lambda place=place: add(place) for place in range(WORKERS)])
    document = stores[0].read()
    assert document is not None
    assert len(document.allowlist("main")) == ROUNDS * WORKERS


def test_one_after_the_other_where_a_lock_says_so(workers: list[Any]) -> None:
    inside, most = 0, 0

    def work(connection: Connection) -> None:
        nonlocal inside, most
        connection.execute(select(1))  # a lock is there from the first statement on
        inside += 1
        most = max(most, inside)
        time.sleep(0.005)
        inside -= 1

    at_once([lambda one=one: one.database.write(work, alone="a lock") for one in workers * 3])
    assert most == 1


def test_a_session_with_many_runs_at_once_loses_none(workers: list[Any], store: SessionStore) -> None:
    def converse(one: Any) -> None:
        for turn in range(10):
            run_id = f"{one.worker.id} {turn}"
            accept(one.store, run_id, Message("user", run_id))
            one.store.runs.history("k", run_id)
            assert one.store.runs.finish(run_id, "finished", [(HELLO, "complete")])

    assert at_once([lambda one=one: converse(one) for one in workers]) == [None] * WORKERS
    kept = store.transcripts.messages("k")
    assert len(kept) == 20 * WORKERS
    assert sorted({one.run_number for one in kept}) == list(range(1, 10 * WORKERS + 1))
