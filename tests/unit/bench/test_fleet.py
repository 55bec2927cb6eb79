"""The simulation of many workers: its walls stand where the costs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import fleet
from bench.fleet import STORE_CORES, WORKERS, Costs, describe_fleet, read_costs, simulate


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "RUNS", 3000)


def test_workers_add_up_until_the_store_is_full():
    walls = simulate(Costs(worker=0.01, store=0.001, bus=0.00001, hear=0.0, deliver=0.0))
    by_workers = {wall.workers: wall for wall in walls}
    assert by_workers[1].made_of == "worker"
    assert by_workers[10].per_second > 8 * by_workers[1].per_second
    assert by_workers[100].made_of == "store"
    assert by_workers[100].per_second < STORE_CORES / 0.001
    assert by_workers[100].per_second > 0.5 * STORE_CORES / 0.001


def test_announcements_are_a_wall_of_their_own():
    walls = simulate(Costs(worker=0.01, store=0.0001, bus=0.00001, hear=0.0, deliver=0.0001))
    assert walls[-1].made_of == "bus"
    assert walls[-1].per_second < walls[3].per_second


def test_the_curve_has_a_row_for_each_number_of_workers():
    shown = describe_fleet(simulate(Costs(0.01, 0.001, 0.0001, 0.0, 0.0)))
    for workers in WORKERS:
        assert f"\n{workers:7} " in shown


def test_it_needs_something_measured(tmp_path: Path):
    with pytest.raises(SystemExit, match="python -m bench cluster"):
        read_costs(tmp_path / "none.json")
