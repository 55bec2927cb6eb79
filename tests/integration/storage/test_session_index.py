"""Which sessions there are, what is set for them, and how they begin anew."""

from __future__ import annotations

import time

import pytest

from app.errors import InvalidRequest
from app.messages import ImagePart, Message, TextPart, Usage
from app.sessions.index import PREVIEW, TITLE
from app.sessions.rows import SessionFilter
from app.sessions.store import SessionStore


def run(
    store: SessionStore, run_id: str, key: str = "k", question: str = "hi", answer: str = "hello"
) -> None:
    store.accept(run_id, key, "main", None, "http", [Message("user", question)])
    store.finish(
        run_id,
        "finished",
        [(Message("assistant", answer), "complete")],
        model="openai/x",
        usage=Usage(3, 4),
    )


class TestShown:
    def test_a_session_that_is_not_there(self, store):
        assert store.describe("k") is None
        assert store.settings_of("k") == {}
        assert (store.sessions(10), store.count()) == ([], 0)

    def test_what_its_last_run_told(self, store):
        run(store, "r1")
        store.accept("r2", "k", "main", None, "http", [Message("user", "more")])
        store.finish("r2", "failed", [], error_code="upstream_error")
        found = store.describe("k")
        assert (found.model, found.prompt_tokens, found.completion_tokens) == ("openai/x", 3, 4)
        assert (found.total_tokens, found.turns, found.revision, found.settings) == (7, 2, 0, {})

    def test_how_it_began_and_what_was_said_last(self, store):
        run(store, "r1", question="  What\nis\t this?", answer="A test.")
        run(store, "r2", question="x" * 500, answer="y" * 500)
        found = store.describe("k")
        assert found.title == "What is this?"
        assert found.preview == "y" * (PREVIEW - 1) + "…"
        (listed,) = store.sessions(10)
        assert (listed.title, listed.preview) == (None, None)
        assert store.sessions(10, with_texts=True) == [found]

    def test_a_long_beginning_is_cut(self, store):
        run(store, "r1", question="x" * 500)
        assert store.describe("k").title == "x" * (TITLE - 1) + "…"

    def test_a_picture_is_not_read_for_it(self, store):
        photo = Message("user", (TextPart("look"), ImagePart("image/png", "x" * 1_000_000)))
        store.accept("r1", "k", "main", None, "http", [photo])
        assert store.describe("k").title is None


class TestFound:
    @pytest.fixture(autouse=True)
    def _three(self, store):
        for number, agent in enumerate(("main", "main", "beta")):
            store.patch(f"agent:{agent}:k{number}", agent, {"label": f"Chat_{number}"})
            time.sleep(0.002)

    def keys(self, store: SessionStore, **where: object) -> list[str]:
        found = store.sessions(10, where=SessionFilter(**where))  # type: ignore[arg-type]
        assert store.count(SessionFilter(**where)) == len(found)  # type: ignore[arg-type]
        return [one.key.rpartition(":")[2] for one in found]

    def test_by_what_they_are(self, store):
        assert self.keys(store) == ["k2", "k1", "k0"]
        assert self.keys(store, agent_id="main") == ["k1", "k0"]
        assert self.keys(store, label="Chat_1") == ["k1"]
        assert self.keys(store, label="chat_1") == []
        assert self.keys(store, key="agent:beta:k2") == ["k2"]
        assert self.keys(store, session_id=store.describe("agent:main:k0").session_id) == ["k0"]
        assert self.keys(store, agent_id="main", label="Chat_2") == []

    def test_by_a_part_of_a_name(self, store):
        assert self.keys(store, search="CHAT_") == ["k2", "k1", "k0"]
        assert self.keys(store, search="beta") == ["k2"]
        assert self.keys(store, search="%") == []

    def test_by_when_they_were_used(self, store):
        since = store.describe("agent:main:k1").updated_at
        assert self.keys(store, active_since=since) == ["k2", "k1"]

    def test_page_by_page(self, store):
        assert [one.key for one in store.sessions(1, 1)] == ["agent:main:k1"]


class TestPatch:
    def test_makes_the_session(self, store):
        made = store.patch("k", "beta", {"thinkingLevel": "high"})
        assert (made.agent_id, made.turns, made.settings) == ("beta", 0, {"thinkingLevel": "high"})
        run(store, "r1")
        again = store.describe("k")
        assert (again.session_id, again.turns, again.settings) == (made.session_id, 1, made.settings)

    def test_changes_what_is_named_and_keeps_the_rest(self, store):
        store.patch("k", "main", {"model": "openai/x", "verboseLevel": "on"})
        store.patch("k", "main", {"model": None, "mood": {"of": ["the", "day"]}})
        assert store.settings_of("k") == {"verboseLevel": "on", "mood": {"of": ["the", "day"]}}

    def test_is_a_use_of_the_session(self, store):
        first = store.patch("k", "main", {})
        time.sleep(0.002)
        assert store.patch("k", "main", {}).updated_at > first.updated_at

    def test_labels_are_set_and_cleared(self, store):
        assert store.patch("k", "main", {"label": "Mine"}).label == "Mine"
        assert store.patch("k", "main", {"label": "Mine"}).label == "Mine"
        assert store.patch("k", "main", {"model": "a/b"}).label == "Mine"
        assert store.patch("k", "main", {"label": None}).label is None

    def test_no_two_sessions_are_given_one_label(self, store):
        store.patch("one", "main", {"label": "Mine"})
        with pytest.raises(InvalidRequest, match=r"^label already in use: Mine$"):
            store.patch("other", "main", {"label": "Mine", "model": "a/b"})
        assert store.describe("other") is None

    def test_users_may_share_a_name(self, store):
        for key in ("one", "other"):
            store.accept(key, key, "main", "Ann", "http", [])
        assert store.count(SessionFilter(label="Ann")) == 2

    def test_what_an_operator_named_keeps_its_name(self, store):
        store.patch("k", "main", {"label": "Mine"})
        store.accept("r1", "k", "main", "Ann", "http", [])
        assert store.describe("k").label == "Mine"


class TestReset:
    def test_what_was_said_is_forgotten_and_the_settings_stay(self, store):
        store.patch("k", "main", {"model": "openai/x", "label": "Mine"})
        run(store, "r1")
        before = store.describe("k")
        assert store.reset("k")
        after = store.describe("k")
        assert (store.messages("k"), after.title, after.preview) == ([], None, None)
        assert (after.session_id, after.settings, after.label) == (
            before.session_id,
            before.settings,
            "Mine",
        )
        assert (before.revision, after.revision) == (0, 1)

    def test_the_next_run_begins_anew(self, store):
        run(store, "r1")
        store.reset("k")
        store.accept("r2", "k", "main", None, "http", [Message("user", "hi")])
        assert store.history("k", "r2") == []

    def test_a_run_that_goes_on_leaves_nothing_behind(self, store):
        store.accept("r1", "k", "main", None, "http", [Message("user", "hi")])
        store.reset("k")
        store.reconcile("r1", [], [Message("user", "hi")])
        assert not store.finish("r1", "finished", [(Message("assistant", "late"), "complete")])
        assert store.messages("k") == []

    def test_other_sessions_are_left_alone(self, store):
        run(store, "r1")
        run(store, "r2", key="other")
        store.reset("k")
        assert len(store.messages("other")) == 2

    def test_a_session_that_is_not_there(self, store):
        assert not store.reset("k")
        assert store.describe("k") is None
