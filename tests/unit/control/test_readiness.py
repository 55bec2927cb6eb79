"""Whether the gateway is ready."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.control import status
from app.control.status import Status
from app.errors import StorageUnavailable
from app.sessions.upkeep import RetentionRecord


class FakeStore:
    """A store that can be broken; `pings` counts how often it was tried."""

    def __init__(self) -> None:
        self.maintenance = self.retention = self
        self.pings = 0
        self.works = True

    def ping(self) -> None:
        self.pings += 1
        if not self.works:
            raise StorageUnavailable("The disk is full.")

    def last(self) -> RetentionRecord | None:
        return RetentionRecord("", "", 5, 6, {"age": 7})


def build(store: Any, *, draining: bool = False, stale: bool = False) -> Status:
    runs: Any = SimpleNamespace(draining=draining, active=[object()])
    return Status(runs, store, lambda: stale)


def test_a_gateway_that_is_ready():
    document = build(FakeStore()).readiness()
    assert document.pop("uptimeMs") >= 0
    assert document == {"ready": True, "failing": []}


def test_verbose_says_more():
    document = build(FakeStore(), stale=True).readiness(verbose=True)
    assert (document["config"], document["activeRuns"]) == ("stale", 1)
    assert document["retention"] == {"lastRunAt": 5, "removed": {"age": 7}}
    assert build(FakeStore()).readiness(verbose=True)["config"] == "current"


def test_verbose_names_the_sandbox_without_what_is_wrong_with_it():
    runs: Any = SimpleNamespace(draining=False, active=[])
    found = Status(runs, FakeStore(), lambda: False, lambda: "none: /a/path is missing")
    assert found.readiness(verbose=True)["execSandbox"] == "none"


def test_what_makes_it_not_ready():
    store = FakeStore()
    store.works = False
    document = build(store, draining=True).readiness()
    assert (document["ready"], document["failing"]) == (False, ["draining", "storage"])


def test_workers_that_cannot_be_reached():
    runs: Any = SimpleNamespace(draining=False, active=[])
    document = Status(runs, FakeStore(), lambda: False, others_away=lambda: True).readiness()
    assert (document["ready"], document["failing"]) == (False, ["redis"])


def test_the_storage_is_not_tried_for_each_question(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr(status.time, "monotonic", lambda: now)
    store = FakeStore()
    found = build(store)
    assert found.storage_works()
    store.works = False
    assert found.storage_works()
    assert store.pings == 1
    now += status.STORAGE_CHECK_SECONDS + 0.1
    assert not found.storage_works()
    assert store.pings == 2
