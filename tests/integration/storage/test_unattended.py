"""Runs that are stored as those of a living worker which does not have them."""

from __future__ import annotations

from typing import Any

from app.sessions.base import SessionStore
from app.sessions.unattended import Unattended
from app.storage.base import Database, Worker
from tests.integration.storage.runs import HI, accept, answer, messages_in


def test_a_run_that_nobody_has_ends_and_lets_the_next_one_begin(
    store: SessionStore, database: Database, worker: Worker
) -> None:
    active = ["here", "later"]
    unattended = Unattended(lambda: active, database, worker)
    accept(store, "lost", key="k")
    accept(store, "here", key="other")
    accept(store, "later", key="k")
    assert unattended.look() == 0
    accept(store, "new", key="third")  # which is stored before the worker has it
    assert unattended.look() == 1
    active.append("new")
    assert unattended.look() == 0
    assert store.maintenance.interrupt_orphans() == 1
    states: list[Any] = [one.run_state for one in store.transcripts.messages("k")]
    assert states == ["interrupted", "running"]
    place = store.runs.place("later")
    assert place is not None
    assert place.before == 0
    assert answer(store, "here")
    assert answer(store, "new")
    assert messages_in(store.transcripts.messages("k")) == [HI, HI]
    assert not answer(store, "lost")
