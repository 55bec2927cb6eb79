"""Sessions of one database are copied into another, of either kind."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.bootstrap import build_database
from app.errors import StorageUnavailable
from app.messages import ImagePart, Message, ToolCall, Usage
from app.sessions.base import SessionStore
from app.sessions.copying import CHANGED, RUNNING, TAKEN, Copied, SessionCopy, conflicts
from app.sessions.store import SqlSessionStore
from app.sessions.stored import NewRun
from app.tools.approvals.document import AllowlistEntry
from app.tools.approvals.record import Resolver, outcome_of
from app.tools.approvals.store import SqlApprovalStore, SqlDocumentStore
from tests.integration.storage.runs import HELLO, HI, MORE, accept, answer
from tests.integration.storage.test_approvals import approval
from tests.support.servers import PostgresServer

ANN = Resolver("device", "ann")
Open = Callable[[str], SimpleNamespace]


@pytest.fixture
def open_database(tmp_path: Path, postgres: PostgresServer) -> Iterator[Open]:
    """A function that opens an empty database of a kind."""
    with ExitStack() as stack:
        number = iter(range(10))

        def open_one(kind: str) -> SimpleNamespace:
            url = (
                f"sqlite:///{tmp_path}/{next(number)}.sqlite" if kind == "sqlite" else postgres.new_database()
            )
            database, worker = build_database(url)
            stack.callback(database.close)
            stack.callback(worker.close)
            store = SqlSessionStore(database, worker)
            return SimpleNamespace(database=database, worker=worker, store=store, url=url)

        yield open_one


@pytest.fixture(params=["sqlite-postgres", "postgres-sqlite", "sqlite-sqlite"])
def pair(request: pytest.FixtureRequest, open_database: Open) -> tuple[Any, Any]:
    source, target = request.param.split("-")
    return open_database(source), open_database(target)


def copy(source: Any, target: Any) -> Copied:
    return SessionCopy(source.database, target.database).run()


def everything(store: SessionStore) -> Any:
    found = store.index.sessions(1000, with_texts=True)
    rows = {one.key: store.transcripts.page(one.key, 1000) for one in found}
    return found, rows, store.usage.totals(0, 10**14)


def fill(store: SessionStore) -> None:
    """Some sessions with all that they may have, the newest messages in the oldest session."""
    calls = (ToolCall("c1", "f", '{"a": "\\u0000"}'),)
    for number in range(5):
        key = f"agent:main:{number}"
        store.index.patch(key, "main", {"model": "a/b", "note": f"é {number}"})
        store.runs.accept(f"r{number}", key, "main", f"Ann {number}", "http", [HI, Message("user", "\0 🦞")])
        store.runs.append(f"r{number}", [(Message("assistant", "", calls), "step"), (HELLO, "step")])
        answer(store, f"r{number}")
    picture = Message("user", (ImagePart("image/png", "x" * 300_000),))
    accept(store, "again", picture, key="agent:main:0")
    store.runs.finish(
        "again", "failed", [(HELLO, "partial")], None, "timeout", "It broke.", "a/b", Usage(10**10, 2)
    )
    accept(store, "edited", MORE, key="agent:main:0")
    store.runs.reconcile("edited", [store.transcripts.messages("agent:main:0")[-2].id], [MORE])
    answer(store, "edited")
    store.transcripts.inject("agent:main:1", "By the way.")
    store.runs.accept("hidden", "agent:main:openai:x", "main", None, "http", [HI], NewRun(hidden=True))
    answer(store, "hidden")


def test_all_of_it_is_there_as_it_was(pair: tuple[Any, Any]) -> None:
    source, target = pair
    fill(source.store)
    copied = copy(source, target)
    assert (copied.sessions, copied.runs, copied.present, copied.left) == (6, 9, 0, [])
    assert copied.seen == copied.total == 6
    assert everything(target.store) == everything(source.store)
    assert len(target.store.transcripts.messages("agent:main:openai:x")) == 2
    again = copy(source, target)
    assert (again.sessions, again.present, again.left) == (0, 6, [])
    number = target.store.runs.accept("next", "agent:main:0", "main", None, "http", [HI]).number
    assert number == 4
    newest = target.store.transcripts.page("agent:main:0", 1)[0]
    assert newest.number > max(row.number for row in source.store.transcripts.page("agent:main:0", 100))
    assert [one.message for one in target.store.runs.history("agent:main:0", "next")] == [
        one.message for one in source.store.transcripts.messages("agent:main:0")
    ]


def test_approvals_and_documents(pair: tuple[Any, Any]) -> None:
    source, target = pair
    stores = [SqlApprovalStore(one.database, one.worker) for one in pair]
    over, waiting = approval(), approval()
    for one in (over, waiting):
        stores[0].add(one)
    stores[0].resolve(over.id, outcome_of("deny", ANN))
    mine = SqlDocumentStore(source.database, "")
    mine.update(lambda present: present.with_entry("main", AllowlistEntry(pattern="git")))
    assert copy(source, target).approvals == 1
    assert stores[1].get(over.id) == stores[0].get(over.id)
    assert stores[1].get(waiting.id) is None
    assert SqlDocumentStore(target.database, "").read() == mine.read()
    assert copy(source, target).approvals == 0


def test_a_copy_that_was_stopped_goes_on(pair: tuple[Any, Any]) -> None:
    source, target = pair
    fill(source.store)
    steps: list[int] = []

    def stop(copied: Copied) -> None:
        steps.append(copied.sessions)
        if len(steps) == 3:
            raise StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        SessionCopy(source.database, target.database, stop).run()
    assert target.store.index.count() == 3
    rest = copy(source, target)
    assert (rest.sessions, rest.present) == (3, 3)
    assert everything(target.store) == everything(source.store)


def test_what_was_used_since_is_told_and_left_alone(pair: tuple[Any, Any]) -> None:
    source, target = pair
    fill(source.store)
    copy(source, target)
    accept(source.store, "more", key="agent:main:2")
    answer(source.store, "more")
    target.store.index.patch("agent:main:3", "main", {"model": None})
    accept(source.store, "running", key="agent:main:4")
    accept(source.store, "new", key="agent:main:new")
    answer(source.store, "new")
    again = copy(source, target)
    left = {"agent:main:2": CHANGED, "agent:main:3": CHANGED, "agent:main:4": RUNNING}
    assert (dict(again.left), again.sessions, again.present) == (left, 1, 3)
    assert target.store.transcripts.length("agent:main:2") == 5
    target.store.index.delete("agent:main:2")
    assert copy(source, target).sessions == 1
    assert target.store.transcripts.length("agent:main:2") == 7


def test_a_database_that_is_in_use_keeps_what_is_its_own(pair: tuple[Any, Any]) -> None:
    source, target = pair
    fill(source.store)
    accept(target.store, "theirs", key="agent:main:theirs")
    answer(target.store, "theirs")
    assert conflicts(source.database, target.database) == []
    assert copy(source, target).left == []
    assert target.store.index.count() == 6
    assert len(target.store.transcripts.messages("agent:main:theirs")) == 2
    texts = [row.message for row in target.store.transcripts.page("agent:main:0", 100)]
    assert texts == [row.message for row in source.store.transcripts.page("agent:main:0", 100)]
    accept(target.store, "next", key="agent:main:theirs")
    assert answer(target.store, "next")


def test_other_conversations_under_the_same_key(pair: tuple[Any, Any]) -> None:
    source, target = pair
    fill(source.store)
    accept(target.store, "theirs", key="agent:main:1")
    assert conflicts(source.database, target.database) == ["agent:main:1"]


def test_a_run_id_that_is_taken_there(pair: tuple[Any, Any]) -> None:
    source, target = pair
    fill(source.store)
    accept(target.store, "r1", key="agent:main:theirs")
    answer(target.store, "r1")
    copied = copy(source, target)
    assert (copied.left, copied.sessions) == ([("agent:main:1", TAKEN)], 5)
    assert target.store.transcripts.length("agent:main:1") == 0


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_many_messages_take_little_memory(open_database: Open, kinds: tuple[str, str]) -> None:
    source, target = (open_database(kind) for kind in kinds)
    randomly = random.Random(1)
    for number in range(100):
        accept(source.store, f"r{number}", key="one" if number < 50 else f"agent:main:{number}")
        texts = [Message("assistant", randomly.randbytes(1000).hex()) for _ in range(1000)]
        assert answer(source.store, f"r{number}", *texts)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    copied = copy(source, target)
    assert (copied.sessions, copied.runs, copied.messages) == (51, 100, 100_100)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KiB; all would be 200 MB
    assert target.store.transcripts.length("one") == 50_050
