"""What runs have used, by session, model and day."""

from __future__ import annotations

import time

from app.messages import Message, Usage
from app.sessions.base import SessionStore
from app.sessions.usage import DAY
from app.storage.tables import runs

EVER = (0, 10**14)


def run(
    store: SessionStore, run_id: str, key: str = "k", model: str = "openai/x", usage: Usage | None = None
) -> None:
    store.runs.accept(run_id, key, "main", None, "http", [Message("user", "hi")])
    answer = [(Message("assistant", "hello"), "complete")]
    state = "failed" if usage is None else "finished"
    store.runs.finish(run_id, state, answer, model=model, usage=usage)


def test_nothing(store):
    assert store.usage.totals(*EVER) == []
    assert store.usage.message_counts(*EVER) == []
    assert store.usage.timeline("k", 10) == []


def test_runs_are_added_up_by_session_and_model(store):
    run(store, "r1", usage=Usage(1, 2))
    run(store, "r2", usage=Usage(10, 20))
    run(store, "r3", model="openai/y", usage=Usage(100, 200))
    run(store, "r4", key="other", usage=Usage(1000, 2000))
    run(store, "r5", key="other")
    found = {(row.key, row.model): row for row in store.usage.totals(*EVER)}
    tokens = {place: (row.prompt_tokens, row.completion_tokens) for place, row in found.items()}
    assert tokens == {
        ("k", "openai/x"): (11, 22),
        ("k", "openai/y"): (100, 200),
        ("other", "openai/x"): (1000, 2000),
    }
    assert [(row.runs, row.failed) for row in found.values()] == [(2, 0), (1, 0), (2, 1)]
    first = found["k", "openai/x"]
    assert (first.agent_id, first.day) == ("main", first.first_at // DAY)
    assert first.first_at <= first.last_at


def test_only_runs_of_the_given_time_count(store):
    run(store, "r1", usage=Usage(1, 2))
    now = int(time.time() * 1000)
    assert store.usage.totals(now + DAY, now + 2 * DAY) == []
    assert len(store.usage.totals(now - DAY, now + DAY)) == 1


def test_days_begin_in_the_time_zone_of_the_caller(store, database):
    run(store, "r1", usage=Usage(1, 2))
    hour = DAY // 24
    late = 20_000 * DAY + 23 * hour
    database.write(
        lambda connection: connection.execute(runs.update().values(started_at=late)),
    )
    assert [row.day for row in store.usage.totals(*EVER)] == [20_000]
    assert [row.day for row in store.usage.totals(*EVER, 2 * hour)] == [20_001]
    assert [row.day for row in store.usage.totals(*EVER, -2 * hour)] == [20_000]


def test_an_injected_message_is_no_usage(store):
    run(store, "r1", usage=Usage(1, 2))
    store.transcripts.inject("k", "By the way.")
    assert [row.runs for row in store.usage.totals(*EVER)] == [1]


def test_messages_are_counted_by_role(store):
    run(store, "r1", usage=Usage(1, 2))
    run(store, "r2", usage=Usage(1, 2))
    assert {row.role: row.count for row in store.usage.message_counts(*EVER)} == {"user": 2, "assistant": 2}
    store.index.reset("k")
    assert store.usage.message_counts(*EVER) == []


def test_a_sessions_runs_in_their_order(store):
    run(store, "r1", usage=Usage(1, 2))
    run(store, "r2")
    run(store, "r3", model="openai/y", usage=Usage(3, 4))
    run(store, "elsewhere", key="other", usage=Usage(5, 6))
    assert [one.run_id for one in store.usage.timeline("k", 10)] == ["r1", "r3"]
    (newest,) = store.usage.timeline("k", 1)
    assert (newest.model, newest.prompt_tokens, newest.completion_tokens) == ("openai/y", 3, 4)
