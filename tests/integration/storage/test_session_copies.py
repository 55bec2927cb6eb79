"""Forks, snapshots and imports on a real database."""

from __future__ import annotations

import threading
import time
import tracemalloc

import pytest

from app.errors import NotFound, SessionConflict
from app.messages import Message, ToolCall, Usage
from app.sessions.base import SessionStore
from app.sessions.keys import space_name
from app.sessions.portable import NewSession, PortableMessage, PortableRun
from app.sessions.rows import SessionFilter
from tests.integration.storage.runs import accept, finished

KEY, FORK = "agent:main:notes", "agent:main:fork"


def fork(
    store: SessionStore, message_id: str | None = None, key: str = FORK, labels: tuple[str, ...] = ()
) -> int:
    return store.copies.fork(KEY, NewSession(key, "main", labels, {"a": 1}), message_id)


def texts(store: SessionStore, key: str) -> list[str]:
    return [row.message.text for row in store.pages.messages(key, 1000).rows]


def exported(store: SessionStore, key: str) -> list[tuple[object, ...]]:
    snapshot = store.copies.snapshot(key)
    assert snapshot is not None
    return [
        (one.run_number, one.run._replace(source=""), one.row.message, one.row.state, one.row.created_at)
        for place in range(len(snapshot.ends))
        for one in store.copies.piece(snapshot, place)
    ]


def test_a_fork_is_another_session(store: SessionStore) -> None:
    for number in range(3):
        finished(store, KEY, f"q{number}", f"a{number}")
    ids = [row.id for row in store.pages.messages(KEY, 9).rows]
    assert fork(store, ids[3]) == 4
    assert texts(store, FORK) == ["q0", "a0", "q1", "a1"]
    assert fork(store, None, "agent:main:all") == 6
    found = store.index.describe(FORK)
    assert found is not None
    assert (found.run_count, found.settings, found.title) == (2, {"a": 1}, "q0")
    finished(store, FORK, "q9", "a9")
    assert texts(store, FORK)[-2:] == ["q9", "a9"]
    assert len(texts(store, KEY)) == 6
    store.index.delete(KEY)
    assert len(texts(store, FORK)) == 6


def test_a_fork_of_a_session_with_replaced_messages(store: SessionStore) -> None:
    for number in range(4):
        finished(store, KEY, f"q{number}", f"a{number}")
    store.transcripts.compact(KEY, 4)
    accept(store, "edit", Message("user", "x"), key=KEY)
    replaced = [one.id for one in store.runs.history(KEY, "edit")[-2:]]
    store.runs.reconcile("edit", replaced, [Message("user", "q3 edited")])
    store.runs.finish("edit", "finished", [(Message("assistant", "new"), "complete")], usage=Usage(5, 6))
    assert fork(store) == 4
    assert texts(store, FORK) == texts(store, KEY) == ["q2", "a2", "q3 edited", "new"]
    assert [one[0] for one in exported(store, FORK)] == [3, 3, 5, 5]
    assert exported(store, FORK) == exported(store, KEY)


def test_a_cut_run_is_marked(store: SessionStore) -> None:
    finished(store, KEY, "q0", "a0")
    [question, _] = store.pages.messages(KEY, 9).rows
    assert fork(store, question.id) == 1
    assert exported(store, FORK)[0][1].state == "aborted"  # type: ignore[attr-defined]


def test_no_fork_of_what_goes_on(store: SessionStore) -> None:
    finished(store, KEY, "q0", "a0")
    accept(store, "busy", Message("user", "q1"), key=KEY)
    call = ToolCall("c", "ls", "{}")
    store.runs.append("busy", [(Message("assistant", "", (call,)), "step")])
    rows = store.pages.messages(KEY, 9).rows
    for row in rows[2:]:
        with pytest.raises(SessionConflict):
            fork(store, row.id)
    assert store.index.describe(FORK) is None
    assert fork(store) == 2


@pytest.mark.parametrize("message", ["0", "99999999999", "abc", "inject-1"])
def test_no_fork_at_a_message_that_is_not_there(store: SessionStore, message: str) -> None:
    finished(store, KEY)
    with pytest.raises(NotFound):
        fork(store, message)
    with pytest.raises(NotFound):
        store.copies.fork("agent:main:none", NewSession(FORK, "main"), None)
    assert store.index.count() == 1


def test_labels_are_tried_in_turn(store: SessionStore) -> None:
    finished(store, KEY)
    keys = [f"agent:main:f{number}" for number in range(3)]
    for key in keys:
        fork(store, None, key, ("one", "two"))
    assert [one.label for one in map(store.index.describe, keys) if one] == ["one", "two", None]
    fork(store, None, f"agent:main:{space_name('ann')}f", ("one",))
    assert store.index.sessions(9, where=SessionFilter(owner="ann"))[0].label == "one"


def said(*words: str, role: str = "user") -> list[PortableMessage]:
    return [PortableMessage(Message(role, word), "complete", 5) for word in words]  # type: ignore[arg-type]


RUN = PortableRun("finished", "http", 1, 2, "stop", None, None, "a/b", 3, 4, True)


def test_an_import_is_what_was_exported(store: SessionStore) -> None:
    runs = [
        (RUN, said("one", "1")),
        (RUN._replace(state="failed", error_code="x", error_message="y\0"), said("two")),
    ]
    assert store.copies.add(NewSession(KEY, "main", ("mine",), {"b": 2}, 77), runs) == 3
    found = store.index.describe(KEY)
    assert found is not None
    assert (found.label, found.settings, found.created_at, found.run_count) == ("mine", {"b": 2}, 77, 2)
    assert found.updated_at > 77
    first = exported(store, KEY)
    assert [one[0] for one in first] == [1, 1, 2]
    assert first[0][1] == RUN._replace(source="")
    assert first[0][4] == 5


def test_an_import_takes_an_empty_session_alone(store: SessionStore) -> None:
    finished(store, KEY)
    with pytest.raises(SessionConflict):
        store.copies.add(NewSession(KEY, "main", ("mine",)), [(RUN, said("one"))])
    store.index.reset(KEY)
    accept(store, "busy", key=KEY)
    with pytest.raises(SessionConflict):
        store.copies.add(NewSession(KEY, "main"), [(RUN, said("one"))])
    store.index.reset(KEY)
    before = store.index.describe(KEY)
    assert store.copies.add(NewSession(KEY, "main", ("mine",)), [(RUN, said("one"))]) == 1
    after = store.index.describe(KEY)
    assert before is not None
    assert after is not None
    assert (after.run_count, after.label, after.session_id) == (
        before.run_count + 1,
        "mine",
        before.session_id,
    )


def test_of_two_imports_at_the_same_time_one_is_stored(store: SessionStore) -> None:
    outcomes: list[object] = []

    def add(word: str) -> None:
        try:
            outcomes.append(store.copies.add(NewSession(KEY, "main"), [(RUN, said(word, "x"))]))
        except SessionConflict as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=add, args=(word,)) for word in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["2", "session_conflict"]
    assert len(texts(store, KEY)) == 2


def test_a_snapshot_stays_what_it_was(store: SessionStore) -> None:
    for number in range(3):
        finished(store, KEY, f"q{number}", f"a{number}")
    snapshot = store.copies.snapshot(KEY)
    assert snapshot is not None
    finished(store, KEY, "later", "later")
    store.transcripts.compact(KEY, 1)
    store.index.reset(KEY)
    assert [one.row.message.text for one in store.copies.piece(snapshot, 0)] == [
        *("q0", "a0", "q1", "a1", "q2", "a2"),
    ]
    store.index.delete(KEY)
    with pytest.raises(NotFound):
        store.copies.piece(snapshot, 0)
    assert store.copies.snapshot(KEY) is None


def test_pieces_are_bounded(store: SessionStore) -> None:
    big = "x" * 400_000
    runs = [(RUN, said("a", big, big, "b", *["c"] * 450))]
    store.copies.add(NewSession(KEY, "main"), runs)
    snapshot = store.copies.snapshot(KEY)
    assert snapshot is not None
    pieces = [store.copies.piece(snapshot, place) for place in range(len(snapshot.ends))]
    assert sum(map(len, pieces)) == 454
    assert max(map(len, pieces)) <= 200
    assert all(sum(len(one.row.message.text) for one in piece) < 512 * 1024 for piece in pieces)


@pytest.mark.slow
def test_a_very_long_session(store: SessionStore) -> None:
    """A hundred thousand messages: copied, read and exported in bounded memory."""
    text = "A sentence of some length, as people write it, and a little more. " * 5
    runs = [(RUN, said(f"{number} {text}", text)) for number in range(50_000)]
    began = time.monotonic()
    assert store.copies.add(NewSession(KEY, "main"), runs) == 100_000
    del runs
    took = {"import": time.monotonic() - began}
    tracemalloc.start()
    began = time.monotonic()
    assert fork(store) == 100_000
    took["fork"] = time.monotonic() - began
    began = time.monotonic()
    snapshot = store.copies.snapshot(KEY)
    assert snapshot is not None
    count = sum(len(store.copies.piece(snapshot, place)) for place in range(len(snapshot.ends)))
    took["export"] = time.monotonic() - began
    assert count == 100_000
    began = time.monotonic()
    middle = store.pages.messages(KEY, 50, before=str(snapshot.ids[50_000]))
    took["page"] = time.monotonic() - began
    assert len(middle.rows) == 50
    began = time.monotonic()
    assert store.pages.sessions(1)[0].messages == 100_000
    took["list"] = time.monotonic() - began
    began = time.monotonic()
    assert store.transcripts.compact(KEY, 10) == 10
    took["compact"] = time.monotonic() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print({name: round(seconds, 2) for name, seconds in took.items()}, f"{peak / 2**20:.1f} MiB")
    assert peak < 24 * 2**20
