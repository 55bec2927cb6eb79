"""A session's messages: read in pages, shortened, added by hand."""

from __future__ import annotations

import pytest

from app.errors import NotFound
from app.messages import Message, ToolCall, Usage
from app.sessions.base import SessionStore
from app.sessions.rows import TranscriptRow


def user(text: str) -> Message:
    return Message("user", text)


def answer(text: str) -> Message:
    return Message("assistant", text)


def run(store: SessionStore, run_id: str, *messages: Message, source: str = "http") -> None:
    """A finished run: the first message is its input, the others its answer."""
    store.runs.accept(run_id, "k", "main", None, source, messages[:1])
    answered = [(one, "complete") for one in messages[1:]]
    store.runs.finish(run_id, "finished", answered, "stop", model="openai/x", usage=Usage(3, 4))


def texts(rows: list[TranscriptRow]) -> list[str]:
    return [row.message.text for row in rows]


class TestTranscript:
    def test_a_session_that_is_not_there(self, store):
        assert (store.transcripts.page("k", 10), store.transcripts.length("k")) == ([], 0)

    def test_messages_with_what_their_runs_know(self, store):
        run(store, "r1", user("a"), answer("A"), source="ws")
        store.runs.accept("r2", "k", "main", None, "http", [user("b")])
        store.runs.finish("r2", "aborted", [(answer("B"), "partial")], error_message="Stopped.")
        store.runs.accept("r3", "k", "main", None, "http", [user("c")])
        rows = store.transcripts.page("k", 10)
        assert texts(rows) == ["a", "A", "b", "B", "c"]
        assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
        assert [row.run_id for row in rows] == ["r1", "r1", "r2", "r2", "r3"]
        assert [row.run_state for row in rows] == ["finished"] * 2 + ["aborted"] * 2 + ["running"]
        assert [row.state for row in rows] == ["complete"] * 3 + ["partial", "complete"]
        first, second = rows[0], rows[1]
        assert (first.source, first.model, first.finish_reason) == ("ws", "openai/x", "stop")
        assert (second.prompt_tokens, second.completion_tokens) == (3, 4)
        assert rows[3].error == "Stopped."
        assert first.created_at <= second.created_at
        assert len({row.id for row in rows}) == 5

    def test_the_newest_page_by_page(self, store):
        for number in range(3):
            run(store, f"r{number}", user(f"q{number}"), answer(f"a{number}"))
        assert texts(store.transcripts.page("k", 2)) == ["q2", "a2"]
        assert texts(store.transcripts.page("k", 3, 1)) == ["q1", "a1", "q2"]
        assert [row.seq for row in store.transcripts.page("k", 3, 1)] == [3, 4, 5]
        assert store.transcripts.page("k", 3, 6) == []
        assert store.transcripts.length("k") == 6

    def test_a_page_has_a_bound_in_characters_and_at_least_one_message(self, store):
        run(store, "r1", user("x" * 1000), answer("y" * 1000))
        run(store, "r2", user("q"), answer("a"))
        assert texts(store.transcripts.page("k", 10, max_size=1500)) == ["y" * 1000, "q", "a"]
        assert texts(store.transcripts.page("k", 10, max_size=500)) == ["q", "a"]
        assert texts(store.transcripts.page("k", 10, 2, max_size=500)) == ["y" * 1000]
        assert [row.seq for row in store.transcripts.page("k", 10, max_size=1500)] == [2, 3, 4]


class TestCompact:
    def test_the_newest_stay(self, store):
        for number in range(3):
            run(store, f"r{number}", user(f"q{number}"), answer(f"a{number}"))
        assert store.transcripts.compact("k", 3) == 3
        assert texts(store.transcripts.page("k", 10)) == ["a1", "q2", "a2"]
        assert [one.message.text for one in store.transcripts.messages("k")] == ["a1", "q2", "a2"]

    def test_a_short_session_does_not_change(self, store):
        run(store, "r1", user("q"), answer("a"))
        assert store.transcripts.compact("k", 2) == 2
        assert store.transcripts.compact("nobody", 2) == 0
        assert texts(store.transcripts.page("k", 10)) == ["q", "a"]

    @pytest.mark.parametrize(
        ("most", "kept"),
        [
            (1, ["a2"]),
            (3, ["a1", "q2", "a2"]),
            (4, ["a1", "q2", "a2"]),
            (5, ["a1", "q2", "a2"]),
            (6, ["", "r1", "r2", "a1", "q2", "a2"]),
        ],
    )
    def test_a_result_stays_with_its_call(self, store, most, kept):
        calls = (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}"))
        results = [Message("tool", f"r{one}", tool_call_id=f"c{one}") for one in (1, 2)]
        run(store, "r1", user("q1"), Message("assistant", "", calls), *results, answer("a1"))
        run(store, "r2", user("q2"), answer("a2"))
        assert store.transcripts.compact("k", most) == len(kept)
        assert texts(store.transcripts.page("k", 10)) == kept


class TestInject:
    def test_adds_an_assistant_message(self, store):
        run(store, "r1", user("q"), answer("a"))
        message_id = store.transcripts.inject("k", "By the way.")
        row = store.transcripts.page("k", 1)[0]
        assert (row.message, row.seq) == (answer("By the way."), 3)
        assert (row.id, row.run_id) == (message_id, f"inject-{message_id}")
        assert (row.model, row.run_state) == (None, "finished")

    def test_a_label_comes_first(self, store):
        run(store, "r1", user("q"), answer("a"))
        store.transcripts.inject("k", "Done.", "cron")
        assert texts(store.transcripts.page("k", 1)) == ["[cron]\n\nDone."]

    def test_the_next_run_sees_it(self, store):
        run(store, "r1", user("q"), answer("a"))
        store.transcripts.inject("k", "By the way.")
        store.runs.accept("r2", "k", "main", None, "http", [user("q2")])
        assert [one.message.text for one in store.runs.history("k", "r2")] == ["q", "a", "By the way."]

    def test_a_session_without_messages_is_refused(self, store):
        for prepare in (lambda: None, lambda: store.index.patch("k", "main", {})):
            prepare()
            with pytest.raises(NotFound, match=r"^session not found$"):
                store.transcripts.inject("k", "hello")
