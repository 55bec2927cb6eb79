"""Which sessions there are, what is set for them, and how they are reset."""

from __future__ import annotations

import time

import pytest

from app.errors import InvalidRequest
from app.messages import ImagePart, Message, TextPart, Usage
from app.sessions.base import SessionStore
from app.sessions.index import MAX_PREVIEW, MAX_TITLE
from app.sessions.rows import SessionFilter


def run(
    store: SessionStore, run_id: str, key: str = "k", question: str = "hi", answer: str = "hello"
) -> None:
    store.runs.accept(run_id, key, "main", None, "http", [Message("user", question)])
    store.runs.finish(
        run_id,
        "finished",
        [(Message("assistant", answer), "complete")],
        model="openai/x",
        usage=Usage(3, 4),
    )


class TestShown:
    def test_a_session_that_is_not_there(self, store):
        assert store.index.describe("k") is None
        assert store.runs.settings_of("k") == {}
        assert (store.index.sessions(10), store.index.count()) == ([], 0)

    def test_the_usage_of_its_newest_run_that_has_one(self, store):
        run(store, "r1")
        store.runs.accept("r2", "k", "main", None, "http", [Message("user", "more")])
        store.runs.finish("r2", "failed", [], error_code="upstream_error")
        found = store.index.describe("k")
        assert (found.model, found.prompt_tokens, found.completion_tokens) == ("openai/x", 3, 4)
        assert (found.total_tokens, found.run_count, found.revision, found.settings) == (7, 2, 0, {})

    def test_title_and_preview(self, store):
        run(store, "r1", question="  What\nis\t this?", answer="A test.")
        run(store, "r2", question="x" * 500, answer="y" * 500)
        found = store.index.describe("k")
        assert found.title == "What is this?"
        assert found.preview == "y" * (MAX_PREVIEW - 1) + "…"
        (listed,) = store.index.sessions(10)
        assert (listed.title, listed.preview) == (None, None)
        assert store.index.sessions(10, with_texts=True) == [found]

    def test_a_long_title_is_cut(self, store):
        run(store, "r1", question="x" * 500)
        assert store.index.describe("k").title == "x" * (MAX_TITLE - 1) + "…"

    def test_an_image_is_not_read_for_the_title(self, store):
        photo = Message("user", (TextPart("look"), ImagePart("image/png", "x" * 1_000_000)))
        store.runs.accept("r1", "k", "main", None, "http", [photo])
        assert store.index.describe("k").title is None


class TestFound:
    @pytest.fixture(autouse=True)
    def _three(self, store):
        for number, agent in enumerate(("main", "main", "beta")):
            store.index.patch(f"agent:{agent}:k{number}", agent, {"label": f"Chat_{number}"})
            time.sleep(0.002)

    def keys(self, store: SessionStore, **where: object) -> list[str]:
        found = store.index.sessions(10, where=SessionFilter(**where))  # type: ignore[arg-type]
        assert store.index.count(SessionFilter(**where)) == len(found)  # type: ignore[arg-type]
        return [one.key.rpartition(":")[2] for one in found]

    def test_by_exact_values(self, store):
        assert self.keys(store) == ["k2", "k1", "k0"]
        assert self.keys(store, agent_id="main") == ["k1", "k0"]
        assert self.keys(store, label="Chat_1") == ["k1"]
        assert self.keys(store, label="chat_1") == []
        assert self.keys(store, key="agent:beta:k2") == ["k2"]
        assert self.keys(store, session_id=store.index.describe("agent:main:k0").session_id) == ["k0"]
        assert self.keys(store, agent_id="main", label="Chat_2") == []

    def test_by_a_part_of_a_name(self, store):
        assert self.keys(store, search="CHAT_") == ["k2", "k1", "k0"]
        assert self.keys(store, search="beta") == ["k2"]
        assert self.keys(store, search="%") == []

    def test_by_when_they_were_used(self, store):
        since = store.index.describe("agent:main:k1").updated_at
        assert self.keys(store, active_since=since) == ["k2", "k1"]

    def test_page_by_page(self, store):
        assert [one.key for one in store.index.sessions(1, 1)] == ["agent:main:k1"]


class TestPatch:
    def test_makes_the_session(self, store):
        made = store.index.patch("k", "beta", {"thinkingLevel": "high"})
        assert (made.agent_id, made.run_count, made.settings) == ("beta", 0, {"thinkingLevel": "high"})
        run(store, "r1")
        again = store.index.describe("k")
        assert (again.session_id, again.run_count, again.settings) == (made.session_id, 1, made.settings)

    def test_changes_what_is_named_and_keeps_the_rest(self, store):
        store.index.patch("k", "main", {"model": "openai/x", "verboseLevel": "on"})
        store.index.patch("k", "main", {"model": None, "mood": {"of": ["the", "day"]}})
        assert store.runs.settings_of("k") == {"verboseLevel": "on", "mood": {"of": ["the", "day"]}}

    def test_a_run_finds_what_was_set_before_it(self, store, as_kept):
        """With whatever characters, and in whichever order the session and its settings came."""
        run(store, "r1")
        assert store.runs.settings_of("k") == {}
        given = {"model": "openai/x", "note": "\u2028 \U0001f99e '; -- \x00", "deep": [1, None, {"a": 0.5}]}
        store.index.patch("k", "main", given)
        assert store.runs.settings_of("k") == {**given, "note": as_kept(given["note"])}
        assert store.runs.settings_of("other") == {}
        store.index.patch("k", "main", dict.fromkeys(given))
        assert store.runs.settings_of("k") == {}

    def test_counts_as_a_use_of_the_session(self, store):
        first = store.index.patch("k", "main", {})
        time.sleep(0.002)
        assert store.index.patch("k", "main", {}).updated_at > first.updated_at

    def test_labels_are_set_and_cleared(self, store):
        assert store.index.patch("k", "main", {"label": "Mine"}).label == "Mine"
        assert store.index.patch("k", "main", {"label": "Mine"}).label == "Mine"
        assert store.index.patch("k", "main", {"model": "a/b"}).label == "Mine"
        assert store.index.patch("k", "main", {"label": None}).label is None

    def test_no_two_sessions_can_be_given_one_label(self, store):
        store.index.patch("one", "main", {"label": "Mine"})
        with pytest.raises(InvalidRequest, match=r"^label already in use: Mine$"):
            store.index.patch("other", "main", {"label": "Mine", "model": "a/b"})
        assert store.index.describe("other") is None

    def test_users_may_share_a_name(self, store):
        for key in ("one", "other"):
            store.runs.accept(key, key, "main", "Ann", "http", [])
        assert store.index.count(SessionFilter(label="Ann")) == 2

    def test_a_label_set_by_an_operator_stays(self, store):
        store.index.patch("k", "main", {"label": "Mine"})
        store.runs.accept("r1", "k", "main", "Ann", "http", [])
        assert store.index.describe("k").label == "Mine"


class TestReset:
    def test_the_messages_go_and_the_settings_stay(self, store):
        store.index.patch("k", "main", {"model": "openai/x", "label": "Mine"})
        run(store, "r1")
        before = store.index.describe("k")
        assert store.index.reset("k")
        after = store.index.describe("k")
        assert (store.transcripts.messages("k"), after.title, after.preview) == ([], None, None)
        assert (after.session_id, after.settings, after.label) == (
            before.session_id,
            before.settings,
            "Mine",
        )
        assert (before.revision, after.revision) == (0, 1)

    def test_the_next_run_has_no_history(self, store):
        run(store, "r1")
        store.index.reset("k")
        store.runs.accept("r2", "k", "main", None, "http", [Message("user", "hi")])
        assert store.runs.history("k", "r2") == []

    def test_a_run_that_goes_on_stores_nothing_more(self, store):
        store.runs.accept("r1", "k", "main", None, "http", [Message("user", "hi")])
        store.index.reset("k")
        store.runs.reconcile("r1", [], [Message("user", "hi")])
        assert not store.runs.finish("r1", "finished", [(Message("assistant", "late"), "complete")])
        assert store.transcripts.messages("k") == []

    def test_other_sessions_do_not_change(self, store):
        run(store, "r1")
        run(store, "r2", key="other")
        store.index.reset("k")
        assert len(store.transcripts.messages("other")) == 2

    def test_a_session_that_is_not_there(self, store):
        assert not store.index.reset("k")
        assert store.index.describe("k") is None
