"""Keys of requests, bound to the runs that answer them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import IdempotencyKeyReused
from app.messages import Message, Usage
from app.sessions import maintenance
from app.sessions.base import SessionStore
from app.sessions.bound_keys import KEPT_MS, KeyInUse
from app.sessions.outcomes import SqlRunOutcomes
from app.sessions.stored import AcceptedRun, NewRun, RunKey, final_answer

HI = [Message("user", "hi")]
KEY = RunKey("key", "body")
OTHER = RunKey("key", "another body")
NAMED = RunKey("named", "body", is_run_id=True)
DAY = 24 * 3600
WEEK = 7 * DAY


def accept(store: SessionStore, run_id: str, key: RunKey | None = KEY, session: str = "k") -> AcceptedRun:
    return store.runs.accept(run_id, session, "main", None, "http", HI, NewRun(key=key))


def finish(store: SessionStore, run_id: str, text: str = "an answer", fence: int = 1) -> None:
    answer = [(Message("assistant", text), "complete")]
    assert store.runs.finish(run_id, "finished", answer, finish_reason="stop", fence=fence)  # type: ignore[arg-type]


def fail(store: SessionStore, run_id: str, fence: int = 1, usage: Usage | None = None) -> None:
    half = [(Message("assistant", "half"), "partial")]
    assert store.runs.finish(run_id, "failed", half, error_code="timeout", usage=usage, fence=fence)  # type: ignore[arg-type]


def said(store: SessionStore, session: str = "k") -> list[str]:
    return [one.message.text for one in store.transcripts.messages(session)]


def test_a_run_that_goes_on_or_is_answered_keeps_its_key(store: SessionStore) -> None:
    accept(store, "r1")
    for _ in range(2):
        with pytest.raises(KeyInUse) as used:
            accept(store, "r2")
        assert used.value.run_id == "r1"
        with pytest.raises(IdempotencyKeyReused) as reused:
            accept(store, "r2", OTHER)
        assert not isinstance(reused.value, KeyInUse)
        if store.outcomes.bound("key").state == "running":
            finish(store, "r1")
    assert said(store) == ["hi", "an answer"]
    bound = store.outcomes.bound("key")
    assert (bound.run_id, bound.state, bound.body_hash) == ("r1", "finished", "body")


@pytest.mark.parametrize("state", ["failed", "aborted", "interrupted"])
def test_a_run_that_was_cut_makes_way(store: SessionStore, state: Any) -> None:
    accept(store, "r1")
    store.runs.append("r1", [(Message("assistant", "a step"), "step")])
    store.runs.finish("r1", state, [(Message("assistant", "half"), "partial")])
    assert accept(store, "r2") == AcceptedRun(2, has_steps=True)
    assert said(store) == ["hi", "a step"]  # what its tools have done goes on in its place
    assert [message.text for message, _ in store.runs.left("r2").steps] == ["a step"]
    finish(store, "r2")
    assert said(store) == ["hi", "a step", "an answer"]
    assert store.outcomes.bound("key").run_id == "r2"
    assert [row.message.text for row in store.outcomes.run("r1").messages] == ["hi", "half"]


def test_a_run_that_would_end_the_same_way_again_begins_anew(store: SessionStore) -> None:
    accept(store, "r1")
    store.runs.append("r1", [(Message("assistant", "a step"), "step")])
    store.runs.finish("r1", "failed", [], error_code="max_turns")
    assert accept(store, "r2") == AcceptedRun(2)
    assert said(store) == ["hi"]


def test_another_request_with_the_key_of_a_cut_run_is_a_new_one(store: SessionStore) -> None:
    accept(store, "r1")
    fail(store, "r1")
    accept(store, "r2", OTHER)
    assert said(store) == ["hi", "half", "hi"]
    with pytest.raises(IdempotencyKeyReused):
        accept(store, "r3", KEY)


def test_a_run_whose_id_is_the_key_keeps_its_id(store: SessionStore) -> None:
    assert accept(store, "r1", NAMED).fence == 1
    fail(store, "r1", usage=Usage(7, 3))
    again = accept(store, "r1", NAMED)
    assert again == AcceptedRun(2, 2)
    assert said(store) == ["hi"]
    assert not store.runs.append("r1", [(Message("assistant", "late"), "step")], fence=1)
    store.runs.append("r1", [(Message("assistant", "a step"), "step")], again.fence)
    finish(store, "r1", fence=again.fence)
    assert said(store) == ["hi", "a step", "an answer"]
    run = store.outcomes.run("r1")
    assert (run.state, run.error_code, len(run.messages)) == ("finished", None, 3)
    now = int(time.time() * 1000)
    assert [one.prompt_tokens for one in store.usage.totals(0, now + 1000)] in ([7], [7, 0], [0, 7])


def test_an_id_without_a_key_is_known_too(store: SessionStore) -> None:
    accept(store, "r1", None)
    with pytest.raises(KeyInUse):
        accept(store, "r1", NAMED)
    with pytest.raises(IdempotencyKeyReused):
        accept(store, "r1", None)
    fail(store, "r1")
    assert accept(store, "r1", NAMED) == AcceptedRun(2, 2)
    assert store.outcomes.named("r1").state == "running"


def test_of_many_at_once_one_is_accepted(store: SessionStore, another: Callable[[], SimpleNamespace]) -> None:
    store.maintenance.ping()
    stores = [store, *(another().store for _ in range(3))]

    def attempt(number: int) -> str:
        try:
            accept(stores[number], f"r{number}", session=f"k{number}")
        except KeyInUse as error:
            return error.run_id
        return f"r{number}"

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(attempt, range(4)))
    assert len(found) == 1
    assert store.index.count() == 1


def test_a_cut_run_makes_way_for_one_only(
    store: SessionStore, another: Callable[[], SimpleNamespace]
) -> None:
    accept(store, "cut")
    fail(store, "cut")
    stores = [store, *(another().store for _ in range(3))]

    def attempt(number: int) -> str:
        try:
            accept(stores[number], f"r{number}")
        except KeyInUse as error:
            return error.run_id
        return f"r{number}"

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(attempt, range(4)))) == 1
    assert said(store) == ["hi"]


def test_a_key_is_forgotten_after_a_day(store: SessionStore, database: Any, worker: Any) -> None:
    accept(store, "r1")
    finish(store, "r1")
    now = time.time()
    later = SqlRunOutcomes(database, worker, lambda: int(now * 1000) + KEPT_MS + 1000)
    assert later.bound("key") is None
    store.maintenance.prune(now + DAY - 60, WEEK, 10)
    assert store.outcomes.bound("key") is not None
    store.maintenance.prune(now + DAY + 60, WEEK, 10)
    assert store.outcomes.bound("key") is None
    accept(store, "r2", OTHER)


def test_keys_are_no_more_than_the_runs_that_are_kept(
    store: SessionStore, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "MAX_HIDDEN", 3)
    for number in range(8):
        details = NewRun(hidden=True, key=RunKey(f"key{number}", "body"))
        session = f"agent:main:openai:{number}"
        store.runs.accept(f"r{number}", session, "main", None, "http", HI, details)
        finish(store, f"r{number}")
    assert store.maintenance.prune(time.time(), WEEK, 10).hidden == 5
    counted = database.read(
        lambda connection: connection.exec_driver_sql("SELECT count(*) FROM idempotency_keys").scalar()
    )
    assert counted == 3


def test_the_whole_answer_is_stored(store: SessionStore) -> None:
    accept(store, "r1")
    usage = Usage(10, 5, 4, 3, estimated=True)
    store.runs.append("r1", [(Message("assistant", "Look: "), "step"), (Message("tool", "x"), "step")])
    answer = [(Message("assistant", "", refusal="no"), "complete")]
    store.runs.finish("r1", "finished", answer, finish_reason="stop", model="a/x", usage=usage)  # type: ignore[arg-type]
    run = store.outcomes.run("r1")
    assert (run.usage, run.model, run.finish_reason, run.agent_id) == (usage, "a/x", "stop", "main")
    assert final_answer(run.messages) == ("Look: ", (), "no", None)
    store.index.reset("k")
    assert len(store.outcomes.run("r1").messages) == 4
    assert store.outcomes.run("r9") is None
