"""What happens to old sessions and to the runs of dead workers."""

from __future__ import annotations

import threading
import time

from app.sessions.keys import space_name
from app.sessions.upkeep import Pruned, RetentionRecord
from tests.integration.storage.runs import MORE, accept, answer, column

DAY = 86400.0


class TestRetention:
    def test_one_worker_at_a_time(self, store, another):
        other = another().store.maintenance.retention
        own = store.maintenance.retention
        assert own.last() is None
        assert own.claim("a", 1000, 61_000) == 0
        assert other.claim("a", 2000, 62_000) == 59_000
        assert other.claim("b", 2000, 62_000) == 59_000  # it goes on
        record = RetentionRecord("", "a", 1000, 3000, {"age": 2})
        own.ended(record, 500_000)
        assert other.claim("a", 400_000, 900_000) == 100_000
        assert (found := other.last()) is not None
        assert (found.started_at, found.ended_at, found.removed) == (1000, 3000, {"age": 2})
        assert other.claim("a", 500_000, 900_000) == 0
        assert own.claim("a", 500_000, 900_000) == 400_000

    def test_other_limits_make_it_due(self, store):
        retention = store.maintenance.retention
        assert retention.claim("a", 1000, 2000) == 0
        retention.ended(RetentionRecord("", "a", 1000, 1500), 900_000)
        assert retention.claim("a", 5000, 6000) == 895_000
        assert retention.claim("b", 5000, 6000) == 0

    def test_a_dead_workers_work_is_done_by_another(self, store, another):
        assert another().store.maintenance.retention.claim("a", 1000, 2000) == 0
        assert store.maintenance.retention.claim("a", 2000, 3000) == 0

    def test_of_many_at_the_same_moment_one_has_it(self, store, another):
        workers = [store, *(another().store for _ in range(3))]
        won = []

        def claim(one):
            won.append(one.maintenance.retention.claim("a", 1000, 99_000) == 0)

        threads = [threading.Thread(target=claim, args=(one,)) for one in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == [False, False, False, True]


class TestPrune:
    def test_the_reasons(self, store):
        for number in range(5):
            accept(store, f"r{number}", key=f"k{number}")
            answer(store, f"r{number}")
        assert store.maintenance.prune(time.time(), DAY, 3) == Pruned(0, 2, 0)
        assert store.maintenance.prune(time.time() + 2 * DAY, DAY, 3) == Pruned(3, 0, 0)

    def test_old_sessions_are_deleted_with_runs_and_messages(self, store, database):
        accept(store, "r1")
        answer(store, "r1")
        assert store.maintenance.prune(time.time() + DAY, 2 * DAY, 100).total == 0
        assert store.maintenance.prune(time.time() + 3 * DAY, 2 * DAY, 100).total == 1
        for table in ("sessions", "runs", "messages"):
            query = f"SELECT count(*) FROM {table}"
            assert database.read(lambda connection, q=query: connection.exec_driver_sql(q).scalar()) == 0

    def test_the_oldest_of_too_many_are_deleted(self, store):
        for number in range(120):
            accept(store, f"r{number}", key=f"k{number}")
            answer(store, f"r{number}")
        time.sleep(0.002)
        accept(store, "again", key="k0")
        answer(store, "again")
        assert store.maintenance.prune(time.time(), DAY, 3).total == 117
        assert [session.key for session in store.index.sessions(10)] == ["k0", "k119", "k118"]

    def test_a_user_cannot_push_out_the_sessions_of_another(self, store):
        ann, bob = (f"agent:main:{space_name(user)}" for user in ("ann", "bob"))
        # Ann's and the operator's are the oldest, and Bob has named some of his like Ann's.
        bobs = [f"{bob}1", f"{bob}2", f"{bob}3", f"{bob}{space_name('ann')}4"]
        keys = [f"{ann}1", f"{ann}2", "agent:main:1", *bobs]
        for number, key in enumerate(keys):
            accept(store, f"r{number}", key=key)
            answer(store, f"r{number}")
            time.sleep(0.002)
        assert store.maintenance.prune(time.time(), DAY, 2).total == 2
        assert {session.key for session in store.index.sessions(10)} == {*keys[:3], *keys[5:]}

    def test_a_session_with_a_run_going_on_stays(self, store):
        accept(store, "r1")
        assert store.maintenance.prune(time.time() + 3 * DAY, DAY, 0).total == 0

    def test_unless_its_worker_is_dead(self, store, another):
        dead = another()
        accept(dead.store, "r1")
        dead.worker.close()
        assert store.maintenance.prune(time.time() + 3 * DAY, DAY, 100).total == 1


def test_the_runs_of_a_dead_worker_become_interrupted(store, database, another):
    dead = another()
    other = dead.store
    accept(other, "r1")
    accept(other, "r2", key="other")
    accept(store, "mine", MORE)
    assert store.maintenance.interrupt_orphans() == 0
    dead.worker.close()
    assert store.maintenance.interrupt_orphans() == 2
    assert store.maintenance.interrupt_orphans() == 0
    assert [one.run_state for one in store.transcripts.messages("k")] == ["interrupted", "running"]
    assert column(database, "ended_at", "r1") is not None


def test_ping_says_whether_something_can_be_stored(store):
    store.maintenance.ping()


def test_own_runs_that_this_process_does_not_have_become_interrupted(store, database, another):
    accept(store, "lost")
    accept(store, "here")
    accept(another().store, "elsewhere")
    known = {"here"}.__contains__
    assert store.maintenance.interrupt_forgotten(known) == 1
    assert store.maintenance.interrupt_forgotten(known) == 0
    assert [one.run_state for one in store.transcripts.messages("k")] == ["interrupted", "running", "running"]
    assert column(database, "ended_at", "lost") is not None
    assert not answer(store, "lost")
    assert answer(store, "here")
