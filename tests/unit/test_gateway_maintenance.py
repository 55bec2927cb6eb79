"""What happens by itself: one turn of the loop at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.config.loader import load_settings
from app.config.settings import Settings
from app.errors import StorageUnavailable
from app.maintenance import Maintenance
from app.metrics import Metrics
from app.sessions.upkeep import Pruned, RetentionRecord


class FakeStore:
    """The store's upkeep, of which only the calls are kept."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.error: Exception | None = None
        self.found: list[Pruned] = []
        self.claims: list[str] = []
        self.wait = 0
        self.records: list[Any] = []

    def interrupt_orphans(self) -> int:
        if self.error is not None:
            raise self.error
        self.calls.append("interrupt")
        return 2

    def interrupt_forgotten(self, is_known: Callable[[str], bool]) -> int:
        return 0 if is_known("a run that goes on") else 1

    def prune(self, _now: float, prune_after: float, max_entries: int, _seconds: float) -> Pruned:
        self.calls.append(("prune", prune_after, max_entries))
        return self.found.pop(0) if self.found else Pruned()

    @property
    def retention(self) -> FakeStore:
        return self

    def claim(self, limits: str, now: int, until: int) -> int:
        assert until > now
        self.claims.append(limits)
        return self.wait

    def ended(self, record: RetentionRecord, next_at: int) -> None:
        assert record.ended_at is not None
        self.records.append((record.removed, next_at - record.started_at))

    def ping(self) -> None: ...


class FakeRuns:
    def __init__(self) -> None:
        self.checks = 0

    def stop_overdue(self) -> None:
        self.checks += 1

    def get(self, run_id: str) -> str | None:
        return run_id if run_id == "a run that goes on" else None


class FakeApprovals:
    """The approvals, of which only the calls are kept, the sweeps counted."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls
        self.sweeps = 0

    def sweep(self) -> None:
        self.sweeps += 1

    def tidy(self) -> None:
        self.calls.append("approvals")

    def forget(self) -> int:
        return 4


class StopAfter:
    """As an event that is set in the middle of the given turn. Never waits."""

    def __init__(self, turns: int) -> None:
        self._left = turns

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout == 1.0
        self._left -= 1
        return self._left < 0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = load_settings({"HOME": str(tmp_path)}, tmp_path)
    return replace(found, session=replace(found.session, prune_after_seconds=60.0, max_entries=7))


Build = Callable[[FakeStore, FakeRuns], Maintenance]


@pytest.fixture
def build(settings: Settings) -> Build:
    def made(store: FakeStore, runs: FakeRuns) -> Maintenance:
        remove = lambda: store.calls.append("remove")  # noqa: E731
        approvals = FakeApprovals(store.calls)
        return Maintenance(lambda: settings, runs, store, approvals, remove, Metrics())  # type: ignore[arg-type]

    return made


def test_sessions_are_tidied_at_once_and_runs_are_checked_each_second(build: Build):
    store, runs = FakeStore(), FakeRuns()
    build(store, runs).run(StopAfter(3))
    assert store.calls == ["interrupt", "approvals", "remove", ("prune", 60.0, 7)]
    assert runs.checks == 3


def test_a_store_that_does_not_work_is_logged_and_does_not_end_the_loop(
    build: Build, caplog: pytest.LogCaptureFixture
):
    store, runs = FakeStore(), FakeRuns()
    store.error = StorageUnavailable("The disk is full.")
    with caplog.at_level(logging.WARNING):
        build(store, runs).run(StopAfter(1))
    assert runs.checks == 1
    assert [record.getMessage() for record in caplog.records] == ["sessions could not be tidied"]


def test_what_was_removed_is_said_with_the_reasons(build: Build, caplog: pytest.LogCaptureFixture):
    store = FakeStore()
    store.found = [Pruned(2, 1, 0, is_done=False), Pruned(1, 0, 5)]
    maintenance = build(store, FakeRuns())
    with caplog.at_level(logging.INFO):
        maintenance.run(StopAfter(3))
    assert store.claims == ["60s, 7"]  # once for all of it
    removed = {"age": 3, "count": 1, "hidden": 5, "approvals": 4}
    assert store.records == [(removed, 2500)]
    [line] = [record for record in caplog.records if record.getMessage() == "removed by retention"]
    fields = line.fields  # type: ignore[attr-defined]
    assert (fields["sessions_by_age"], fields["sessions_by_count"], fields["approvals"]) == (3, 1, 4)
    metrics = maintenance._metrics.dump().decode()
    assert 'openclaw_sessions_pruned_total{reason="age"} 3.0' in metrics


def test_what_another_worker_removes_is_left_to_it(build: Build):
    store = FakeStore()
    store.wait = 30_000
    build(store, FakeRuns()).run(StopAfter(5))
    assert len(store.claims) == 1  # it looks again when that worker may be done
    assert store.calls == ["interrupt", "approvals", "remove"]
