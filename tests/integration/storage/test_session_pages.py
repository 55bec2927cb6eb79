"""Sessions and messages page by page, on a real database."""

from __future__ import annotations

import random
from typing import Any

import pytest

from app.errors import NotFound
from app.messages import ImagePart, Message, TextPart, ToolCall
from app.sessions.base import SessionStore
from app.sessions.keys import space_name
from app.sessions.rows import SessionFilter
from tests.integration.storage.runs import finished


def test_pages_have_every_session_once_whatever_happens_in_between(store: SessionStore) -> None:
    dice = random.Random(3)
    names = [f"agent:main:s{number}" for number in range(40)]
    for name in names:
        finished(store, name)
    seen: list[str] = []
    untouched = set(names)
    place = None
    while page := store.pages.sessions(3, place):
        seen += [one.session.key for one in page]
        place = page[-1].place
        changed = dice.choice(names)
        if dice.random() < 0.5:
            store.index.delete(changed)
        else:
            finished(store, changed)
        untouched.discard(changed)
    assert len(seen) == len(set(seen))
    assert untouched <= set(seen)


def test_sessions_of_one_moment_come_once(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("run_store", "index"):
        monkeypatch.setattr(f"app.sessions.{module}.now_ms", lambda: 1000)
    names = {f"agent:main:s{number}" for number in range(7)}
    for name in names:
        finished(store, name)
    seen, place = [], None
    while page := store.pages.sessions(2, place):
        seen += [one.session.key for one in page]
        place = page[-1].place
    assert (len(seen), set(seen)) == (7, names)


def test_a_session_has_its_texts_and_the_number_of_its_messages(store: SessionStore) -> None:
    finished(store, "agent:main:notes", "What is it?", "It is 4.")
    finished(store, f"agent:main:{space_name('ann')}notes", "mine")
    [found] = store.pages.sessions(9, where=SessionFilter(space=""))
    assert (found.messages, found.session.title, found.session.preview) == (2, "What is it?", "It is 4.")
    [anns] = store.pages.sessions(9, where=SessionFilter(owner="ann"))
    assert anns.session.title == "mine"
    assert store.pages.sessions(9, where=SessionFilter(owner="bob")) == []


def test_messages_on_either_side(store: SessionStore) -> None:
    key = "agent:main:notes"
    for number in range(6):
        finished(store, key, f"q{number}", f"a{number}")
    texts = [text for number in range(6) for text in (f"q{number}", f"a{number}")]
    ids = [row.id for row in store.pages.messages(key, 100).rows]

    def page(**where: Any) -> tuple[list[str], bool, bool]:
        found = store.pages.messages(key, 4, **where)
        return [row.message.text for row in found.rows], found.has_older, found.has_newer

    assert page() == (texts[8:], True, False)
    assert page(before=ids[8]) == (texts[4:8], True, True)
    assert page(before=ids[3]) == (texts[:3], False, True)
    assert page(after=ids[3]) == (texts[4:8], True, True)
    assert page(after=ids[9]) == (texts[10:], True, False)
    assert page(before=ids[0]) == ([], False, True)
    assert page(after=ids[11]) == ([], True, False)


def test_a_page_is_bounded_by_size_too(store: SessionStore) -> None:
    key = "agent:main:notes"
    for number in range(3):
        finished(store, key, "q" * 1000, "a" * 1000 + str(number))
    newest = store.pages.messages(key, 100, max_size=2500)
    assert ([len(row.message.text) for row in newest.rows], newest.has_older) == ([1000, 1001], True)
    oldest = store.pages.messages(key, 1, before=newest.rows[0].id, max_size=1)
    assert ([row.message.text[-1] for row in oldest.rows], oldest.has_older) == (["1"], True)


@pytest.mark.parametrize("message", ["0", "123456", "9" * 18, "9" * 19, "x", "", "-1", "٣"])
def test_a_message_that_is_not_there(store: SessionStore, message: str) -> None:
    finished(store, "agent:main:notes")
    with pytest.raises(NotFound):
        store.pages.messages("agent:main:notes", 1, before=message)


def test_a_message_added_by_hand_is_a_place(store: SessionStore) -> None:
    key = "agent:main:notes"
    finished(store, key)
    by_hand = store.transcripts.inject(key, "note")
    finished(store, key, "q2", "a2")
    assert [row.message.text for row in store.pages.messages(key, 9, after=by_hand).rows] == ["q2", "a2"]


def test_what_goes_on(store: SessionStore) -> None:
    key = "agent:main:notes"
    finished(store, key)
    finished(store, "agent:main:other")
    for run in ("r1", "r2"):
        store.runs.accept(run, key, "main", None, "http", [Message("user", "go")])
    calls = (ToolCall("c1", "ls", "{}"), ToolCall("c2", "read", "{}"))
    store.runs.append("r1", [(Message("assistant", "", calls), "step")])
    picture = (TextPart("x"), ImagePart("image/png", "AAAA"))
    store.runs.append("r1", [(Message("tool", picture, tool_call_id="c1", name="ls"), "step")])
    unended = store.pages.unended([key, "agent:main:other"])
    assert [(one.key, one.run_id) for one in unended] == [(key, "r1"), (key, "r2")]
    assert [(one.run_id, one.id, one.name) for one in store.pages.open_calls(["r1", "r2"])] == [
        ("r1", "c2", "read")
    ]
    store.runs.append("r1", [(Message("tool", "y", tool_call_id="c2", name="read"), "step")])
    assert store.pages.open_calls(["r1"]) == []
    assert store.pages.newest_run(key) == "r2"
    assert store.pages.newest_run("agent:main:none") is None
