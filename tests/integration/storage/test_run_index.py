"""Stored runs as they are found: by id, by key, newest first, those that go on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace

from app.messages import Message, Usage
from app.sessions.base import SessionStore
from app.sessions.keys import owned_key
from app.sessions.run_rows import RunFilter, StoredRun
from app.sessions.stored import NewRun, RunKey

HI = [Message("user", "hi")]
KEY = "agent:main:k"


def accept(store: SessionStore, run_id: str, key: str = KEY, details: NewRun | None = None) -> None:
    store.runs.accept(run_id, key, "main", None, "http", HI, details or NewRun())


def ids(runs: list[StoredRun]) -> list[str]:
    return [one.id for one in runs]


def test_a_run_is_found_as_it_stands(store: SessionStore) -> None:
    accept(store, "r", details=NewRun(hidden=True, request="{}"))
    run = store.run_index.find("r")
    assert run is not None
    assert (run.session_key, run.agent_id, run.source) == (KEY, "main", "http")
    assert (run.is_hidden, run.is_resumable, run.has_ended, run.outcome) == (True, True, False, "unended")
    answer = [(Message("assistant", "ho"), "complete")]
    usage = Usage(1, 2, 3, 4, estimated=True)
    store.runs.finish("r", "finished", answer, finish_reason="stop", model="a/b", usage=usage)  # type: ignore[arg-type]
    run = store.run_index.find("r")
    assert run is not None
    assert (run.outcome, run.finish_reason, run.model, run.usage) == ("completed", "stop", "a/b", usage)
    assert [one.message.text for one in store.run_index.messages("r")] == ["hi", "ho"]
    for unknown in ("s", "", "a\0b", "\udcff", "x" * 5000):
        assert store.run_index.find(unknown) is None


def test_pages_join_without_gaps(store: SessionStore) -> None:
    made = [f"r{number}" for number in range(11)]
    for number, run_id in enumerate(made):
        accept(store, run_id, f"agent:main:k{number % 3}")
    found: list[str] = []
    place = None
    while page := store.run_index.page(4, place):
        found += ids(page)
        place = page[-1].place
    assert sorted(found) == sorted(made)
    times = [run.place for run in store.run_index.page(100)]
    assert all(newer > older for newer, older in itertools.pairwise(times))


def test_runs_are_filtered(store: SessionStore) -> None:
    ends = {
        "completed": ("finished", None),
        "failed": ("failed", "timeout"),
        "overdue": ("aborted", "timeout"),
        "cancelled": ("aborted", "run_aborted"),
        "drained": ("aborted", "service_unavailable"),
        "crashed": ("interrupted", None),
    }
    for name, (state, code) in ends.items():
        accept(store, name)
        store.runs.finish(name, state, [], error_code=code)  # type: ignore[arg-type]
    accept(store, "on", "agent:main:other")
    anns = owned_key("agent:main:notes", "ann")
    accept(store, "anns", anns)

    def found(**where: object) -> set[str]:
        return set(ids(store.run_index.page(100, where=RunFilter(**where))))  # type: ignore[arg-type]

    outcomes = {"completed": {"completed"}, "failed": {"failed", "overdue"}, "cancelled": {"cancelled"}}
    outcomes |= {"interrupted": {"drained", "crashed"}, "unended": {"on", "anns"}}
    for outcome, expected in outcomes.items():
        assert found(outcome=outcome) == expected
        for name in expected:
            run = store.run_index.find(name)
            assert run is not None
            assert run.outcome == outcome
    assert found(owner="ann") == {"anns"}
    assert found(owner="bob") == set()
    assert found(session_key="agent:main:other") == {"on"}
    assert found(session_key="agent:main:other", owner="ann") == set()
    assert found(ids=("on", "failed", "nothing")) == {"on", "failed"}


def test_a_sessions_queue_is_in_its_order(store: SessionStore) -> None:
    for run_id in ("c", "b", "a"):
        accept(store, run_id)
    store.runs.finish("b", "failed", [])
    accept(store, "x", "agent:main:other")
    assert ids(store.run_index.unended([KEY])) == ["c", "a"]
    assert ids(store.run_index.unended([KEY, "agent:main:other"])) == ["c", "a", "x"]
    assert store.run_index.unended([]) == []


def test_runs_are_found_by_their_keys(store: SessionStore) -> None:
    accept(store, "r", details=NewRun(key=RunKey("one", "body")))
    assert store.run_index.of_keys(["one", "two"]) == ["r"]
    assert store.run_index.of_keys([]) == []


def test_a_dead_workers_run_is_ended_once(
    store: SessionStore, another: Callable[[], SimpleNamespace]
) -> None:
    accept(store, "r")
    run = store.run_index.find("r")
    assert run is not None
    other = another().store.run_index
    assert other.end_orphan(run, "run_aborted", "stop")
    assert not other.end_orphan(run, "run_aborted", "stop")
    run = other.find("r")
    assert run is not None
    assert (run.outcome, run.error_message) == ("cancelled", "stop")
    assert not store.runs.finish("r", "finished", [])
