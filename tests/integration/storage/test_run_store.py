"""Runs and messages: stored, read, replaced and deleted."""

from __future__ import annotations

import time

import pytest

from app.messages import ImagePart, Message, TextPart, ToolCall, Usage
from app.sessions.history import reconcile
from tests.integration.storage.runs import HELLO, HI, MORE, THERE, accept, answer, column, messages_in


class TestRuns:
    def test_an_accepted_run_is_stored_at_once(self, store):
        assert accept(store, "r1") == 1
        assert messages_in(store.transcripts.messages("k")) == [HI]
        assert store.transcripts.messages("k")[0].run_state == "running"

    def test_runs_are_numbered_in_each_session(self, store):
        assert [accept(store, "a"), accept(store, "b"), accept(store, "c", key="other")] == [1, 2, 1]

    def test_history_has_the_messages_of_earlier_runs(self, store):
        accept(store, "r1")
        answer(store, "r1")
        accept(store, "r2", MORE)
        assert messages_in(store.runs.history("k", "r2")) == [HI, HELLO]
        answer(store, "r2", THERE)
        accept(store, "r3")
        assert messages_in(store.runs.history("k", "r3")) == [HI, HELLO, MORE, THERE]
        assert [one.run_number for one in store.runs.history("k", "r3")] == [1, 1, 2, 2]

    def test_history_has_no_messages_of_running_or_later_runs(self, store):
        accept(store, "r1")
        accept(store, "r2", MORE)
        accept(store, "r3")
        store.runs.finish("r3", "aborted", [])
        assert store.runs.history("k", "r2") == []
        answer(store, "r1")
        assert messages_in(store.runs.history("k", "r2")) == [HI, HELLO]

    def test_sessions_are_separate(self, store):
        accept(store, "r1")
        answer(store, "r1")
        accept(store, "r2", key="other")
        assert store.runs.history("other", "r2") == []

    @pytest.mark.parametrize("state", ["failed", "aborted", "interrupted"])
    def test_an_incomplete_answer_is_kept_and_marked(self, store, state):
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
        assert messages_in(store.transcripts.messages("k")) == messages * 2

    def test_an_image_of_many_megabytes_is_kept(self, store):
        photo = Message("user", (ImagePart("image/png", "x" * 10_000_000),))
        accept(store, "r1", photo)
        assert messages_in(store.transcripts.messages("k")) == [photo]

    def test_the_end_of_a_run_is_stored(self, store, database):
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
        values = [column(database, name, "r1") for name in names]
        assert values == ["upstream_error", "It broke.", "openai/x", 3, 4, 1]
        assert column(database, "ended_at", "r1") >= column(database, "started_at", "r1")

    def test_a_run_ends_once(self, store):
        accept(store, "r1")
        assert answer(store, "r1")
        assert not answer(store, "r1", THERE)
        assert not answer(store, "unknown")
        assert messages_in(store.transcripts.messages("k")) == [HI, HELLO]

    def test_a_run_whose_session_was_deleted_ends_without_an_error(self, store):
        accept(store, "r1")
        assert store.index.delete("k")
        store.runs.reconcile("r1", [], [HI])
        assert not answer(store, "r1")
        assert store.index.sessions(10) == []


class TestUnpaired:
    def test_unpaired_messages_are_marked_and_stay(self, store):
        accept(store, "r1")
        answer(store, "r1", Message("assistant", "", (ToolCall("c1", "f", "{}"),)))
        accept(store, "r2", Message("tool", "21", tool_call_id="x"), MORE)
        call = store.runs.history("k", "r2")[1]
        store.runs.mark_unpaired("r2", [call.id], [0])
        messages = store.transcripts.messages("k")
        assert [one.message.role for one in messages] == ["user", "assistant", "tool", "user"]
        assert [one.state for one in messages] == ["complete", "unpaired", "unpaired", "complete"]
        assert [one.may_be_missing for one in messages] == [False, True, True, False]

    def test_calls_of_a_cut_answer_are_not_for_the_model(self, store):
        cut = Message("assistant", "I'll look", (ToolCall("c1", "f", '{"a'),))
        accept(store, "r1")
        store.runs.finish("r1", "aborted", [(cut, "partial")])
        accept(store, "r2")
        assert [one.for_model for one in store.runs.history("k", "r2")] == [HI, cut._replace(tool_calls=())]


class TestReconcile:
    def test_replaced_messages_are_no_longer_read(self, store):
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
        assert messages_in(store.transcripts.messages("k")) == [HI, HELLO, edited, THERE]

    def test_replaced_messages_are_still_stored(self, store, database):
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
        assert messages_in(store.transcripts.messages("k")) == [MORE, THERE]


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

    def test_a_deleted_session_starts_empty(self, store):
        accept(store, "r1")
        (first,) = store.index.sessions(10)
        assert store.index.delete("k")
        assert not store.index.delete("k")
        accept(store, "r2")
        assert store.runs.history("k", "r2") == []
        assert store.index.sessions(10)[0].session_id != first.session_id


def test_a_run_costs_little(store):
    """A limit that holds on a busy machine, too; usually each call takes a tenth of a millisecond."""

    def run(number: int) -> None:
        accept(store, f"r{number}")
        store.runs.history("k", f"r{number}")
        answer(store, f"r{number}")

    run(0)
    start = time.process_time()
    for number in range(1, 21):
        run(number)
    assert (time.process_time() - start) / 20 < 0.005
