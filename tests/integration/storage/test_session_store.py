"""What a session remembers, and what it forgets."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from app.messages import ImagePart, Message, TextPart, ToolCall, Usage
from app.sessions.base import SessionStore
from app.sessions.history import StoredMessage, reconcile
from app.sessions.store import SqlSessionStore
from app.storage.sqlite.worker_lock import WorkerLock

HI, HELLO, MORE, THERE = (
    Message("user", "hi"),
    Message("assistant", "hello"),
    Message("user", "more"),
    Message("assistant", "there"),
)
DAY = 86400.0


def accept(store: SessionStore, run_id: str, *messages: Message, key: str = "k") -> int:
    return store.runs.accept(run_id, key, "main", None, "http", messages or [HI])


def answer(store: SessionStore, run_id: str, *messages: Message) -> bool:
    return store.runs.finish(run_id, "finished", [(message, "complete") for message in messages or [HELLO]])


def said(kept: Sequence[StoredMessage]) -> list[Message]:
    return [one.message for one in kept]


def column(database, name: str, run_id: str) -> object:
    query = f"SELECT {name} FROM runs WHERE id = ?"
    return database.read(lambda connection: connection.exec_driver_sql(query, (run_id,)).scalar())


class TestTurns:
    def test_an_accepted_turn_is_stored_at_once(self, store):
        assert accept(store, "r1") == 1
        assert said(store.transcripts.messages("k")) == [HI]
        assert store.transcripts.messages("k")[0].run_state == "running"

    def test_turns_count_up_in_each_session(self, store):
        assert [accept(store, "a"), accept(store, "b"), accept(store, "c", key="other")] == [1, 2, 1]

    def test_history_is_what_was_said_before(self, store):
        accept(store, "r1")
        answer(store, "r1")
        accept(store, "r2", MORE)
        assert said(store.runs.history("k", "r2")) == [HI, HELLO]
        answer(store, "r2", THERE)
        accept(store, "r3")
        assert said(store.runs.history("k", "r3")) == [HI, HELLO, MORE, THERE]
        assert [one.run_number for one in store.runs.history("k", "r3")] == [1, 1, 2, 2]

    def test_history_leaves_out_what_goes_on_and_what_came_later(self, store):
        accept(store, "r1")
        accept(store, "r2", MORE)
        accept(store, "r3")
        store.runs.finish("r3", "aborted", [])
        assert store.runs.history("k", "r2") == []
        answer(store, "r1")
        assert said(store.runs.history("k", "r2")) == [HI, HELLO]

    def test_sessions_are_apart(self, store):
        accept(store, "r1")
        answer(store, "r1")
        accept(store, "r2", key="other")
        assert store.runs.history("other", "r2") == []

    @pytest.mark.parametrize("state", ["failed", "aborted", "interrupted"])
    def test_a_turn_without_a_whole_answer_is_kept_and_marked(self, store, state):
        accept(store, "r1")
        store.runs.finish(
            "r1", state, [(Message("assistant", "hel"), "partial")], error_code="upstream_error"
        )
        accept(store, "r2")
        question, cut = store.runs.history("k", "r2")
        assert (question.state, question.run_state) == ("complete", state)
        assert (cut.message.text, cut.state) == ("hel", "partial")

    def test_messages_come_back_as_they_were(self, store):
        messages = [
            Message("user", (TextPart("look"), ImagePart("image/png", "aGk="), TextPart("!"))),
            Message("assistant", "", (ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "g", "{}"))),
            Message("tool", "", tool_call_id="c1", name="f"),
            Message("user", "\x00 \u2028 🦞 '; DROP TABLE sessions; --", name="Ann"),
        ]
        accept(store, "r1", *messages)
        answer(store, "r1", *messages)
        assert said(store.transcripts.messages("k")) == messages * 2

    def test_a_picture_of_many_megabytes_is_kept(self, store):
        photo = Message("user", (ImagePart("image/png", "x" * 10_000_000),))
        accept(store, "r1", photo)
        assert said(store.transcripts.messages("k")) == [photo]

    def test_the_end_of_a_run_is_told(self, store, database):
        accept(store, "r1")
        store.runs.finish(
            "r1", "failed", [], None, "upstream_error", "It broke.", "openai/x", Usage(3, 4, estimated=True)
        )
        names = (
            "error_code",
            "error_message",
            "model",
            "prompt_tokens",
            "completion_tokens",
            "usage_estimated",
        )
        told = [column(database, name, "r1") for name in names]
        assert told == ["upstream_error", "It broke.", "openai/x", 3, 4, 1]
        assert column(database, "ended_at", "r1") >= column(database, "started_at", "r1")

    def test_a_run_ends_once(self, store):
        accept(store, "r1")
        assert answer(store, "r1")
        assert not answer(store, "r1", THERE)
        assert not answer(store, "unknown")
        assert said(store.transcripts.messages("k")) == [HI, HELLO]

    def test_a_run_whose_session_was_deleted_ends_quietly(self, store):
        accept(store, "r1")
        assert store.index.delete("k")
        store.runs.reconcile("r1", [], [HI])
        assert not answer(store, "r1")
        assert store.index.sessions(10) == []


class TestReconcile:
    def test_what_was_replaced_is_told_no_more(self, store):
        accept(store, "r1")
        answer(store, "r1")
        accept(store, "r2", MORE)
        answer(store, "r2", THERE)
        edited = Message("user", "more, edited")
        request = [HI, HELLO, edited]
        accept(store, "r3", *request)
        result = reconcile(store.runs.history("k", "r3"), request)
        store.runs.reconcile("r3", result.replaced, result.new)
        answer(store, "r3", THERE)
        assert said(store.transcripts.messages("k")) == [HI, HELLO, edited, THERE]

    def test_what_was_replaced_is_still_there(self, store, database):
        accept(store, "r1")
        answer(store, "r1")
        accept(store, "r2")
        store.runs.reconcile("r2", [one.id for one in store.runs.history("k", "r2")], [HI])
        query = "SELECT count(*) FROM messages WHERE replaced_by = 'r2'"
        assert database.read(lambda connection: connection.exec_driver_sql(query).scalar()) == 2

    def test_the_input_of_a_run_is_rewritten(self, store):
        accept(store, "r1", HI, MORE)
        store.runs.reconcile("r1", [], [MORE])
        answer(store, "r1", THERE)
        assert said(store.transcripts.messages("k")) == [MORE, THERE]


class TestSessions:
    def test_the_newest_come_first(self, store):
        for number in range(3):
            accept(store, f"r{number}", key=f"k{number}")
            time.sleep(0.002)
        answer(store, "r0")
        assert [session.key for session in store.index.sessions(2)] == ["k0", "k2"]

    def test_a_session_has_an_id_and_times(self, store):
        store.runs.accept("r1", "k", "main", "Ann", "http", [HI])
        (first,) = store.index.sessions(10)
        time.sleep(0.002)
        store.runs.accept("r2", "k", "main", None, "http", [HI])
        (again,) = store.index.sessions(10)
        assert (again.session_id, again.created_at) == (first.session_id, first.created_at)
        assert again.updated_at > first.updated_at
        assert (again.label, again.run_count, again.agent_id) == ("Ann", 2, "main")

    def test_a_deleted_session_begins_anew(self, store):
        accept(store, "r1")
        (first,) = store.index.sessions(10)
        assert store.index.delete("k")
        assert not store.index.delete("k")
        accept(store, "r2")
        assert store.runs.history("k", "r2") == []
        assert store.index.sessions(10)[0].session_id != first.session_id


class TestPrune:
    def test_old_sessions_go_with_all_that_was_said(self, store, database):
        accept(store, "r1")
        answer(store, "r1")
        assert store.maintenance.prune(time.time() + DAY, 2 * DAY, 100) == 0
        assert store.maintenance.prune(time.time() + 3 * DAY, 2 * DAY, 100) == 1
        for table in ("sessions", "runs", "messages"):
            query = f"SELECT count(*) FROM {table}"
            assert database.read(lambda connection, q=query: connection.exec_driver_sql(q).scalar()) == 0

    def test_the_oldest_of_too_many_go(self, store):
        for number in range(120):
            accept(store, f"r{number}", key=f"k{number}")
            answer(store, f"r{number}")
        time.sleep(0.002)
        accept(store, "again", key="k0")
        answer(store, "again")
        assert store.maintenance.prune(time.time(), DAY, 3) == 117
        assert [session.key for session in store.index.sessions(10)] == ["k0", "k119", "k118"]

    def test_a_session_with_a_run_going_on_stays(self, store):
        accept(store, "r1")
        assert store.maintenance.prune(time.time() + 3 * DAY, DAY, 0) == 0

    def test_unless_its_owner_is_gone(self, store, database):
        gone = WorkerLock(database.directory)
        accept(SqlSessionStore(database, gone), "r1")
        gone.close()
        assert store.maintenance.prune(time.time() + 3 * DAY, DAY, 100) == 1


def test_an_owner_that_is_gone_has_its_runs_interrupted(store, database):
    gone = WorkerLock(database.directory)
    other = SqlSessionStore(database, gone)
    accept(other, "r1")
    accept(other, "r2", key="other")
    accept(store, "mine", MORE)
    assert store.maintenance.interrupt_orphans() == 0
    gone.close()
    assert store.maintenance.interrupt_orphans() == 2
    assert store.maintenance.interrupt_orphans() == 0
    assert [one.run_state for one in store.transcripts.messages("k")] == ["interrupted", "running"]
    assert column(database, "ended_at", "r1") is not None


def test_ping_says_whether_something_can_be_stored(store):
    store.maintenance.ping()


def test_a_turn_costs_little(store):
    """A bound that a machine under load keeps too; the real figure is a tenth of a millisecond each."""

    def turn(number: int) -> None:
        accept(store, f"r{number}")
        store.runs.history("k", f"r{number}")
        answer(store, f"r{number}")

    turn(0)
    start = time.process_time()
    for number in range(1, 21):
        turn(number)
    assert (time.process_time() - start) / 20 < 0.005
