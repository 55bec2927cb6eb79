"""Sessions that the gateway makes for a run that has to be stored: nobody is shown them."""

from __future__ import annotations

import time

from app.messages import Message
from app.sessions.base import SessionStore
from app.sessions.maintenance import HIDDEN_SECONDS
from app.sessions.rows import ANY
from app.sessions.stored import NewRun

HI = [Message("user", "a question")]
WEEK = 7 * 24 * 3600


def test_a_hidden_session_is_in_no_list_and_goes_after_a_day(store: SessionStore) -> None:
    store.runs.accept("r1", "agent:main:openai:1", "main", None, "http", HI, NewRun(hidden=True))
    store.runs.finish("r1", "finished", [(Message("assistant", "an answer"), "complete")])
    store.runs.accept("r2", "agent:main:k", "main", None, "http", HI)
    store.runs.finish("r2", "finished", [])
    now = time.time()
    assert [one.key for one in store.index.sessions(10)] == ["agent:main:k"]
    assert store.index.count() == 1
    assert [one.key for one in store.search.search("question", ANY, 10)] == ["agent:main:k"]
    assert [one.key for one in store.usage.totals(0, int(now * 2000))] == ["agent:main:k"]
    assert len(store.transcripts.messages("agent:main:openai:1")) == 2
    assert store.maintenance.prune(now + HIDDEN_SECONDS - 60, WEEK, 1).total == 0
    assert store.maintenance.prune(now + HIDDEN_SECONDS + 60, WEEK, 1).hidden == 1
    assert store.transcripts.messages("agent:main:openai:1") == []
    assert store.index.count() == 1


def test_writes_of_a_run_that_another_worker_has_change_nothing(store: SessionStore) -> None:
    accepted = store.runs.accept("r1", "k", "main", None, "http", HI)
    answer = [(Message("assistant", "late"), "complete")]
    assert not store.runs.append("r1", answer, accepted.fence + 1)
    assert not store.runs.finish("r1", "finished", answer, fence=accepted.fence + 1)
    store.runs.reconcile("r1", [], [Message("user", "other")], accepted.fence + 1)
    assert [one.message.text for one in store.transcripts.messages("k")] == ["a question"]
    assert store.runs.finish("r1", "finished", answer, fence=accepted.fence)
