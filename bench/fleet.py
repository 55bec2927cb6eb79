"""How far it goes: 1, 10 and 100 workers, simulated from the costs that `python -m bench cluster` measured.

Runs arrive at random. Each waits for and uses, in turn: a worker's processor, one of PostgreSQL's, Redis's
only one; and, as every run is announced to all workers, a little of Redis and of each worker for every worker
there is. The load is raised until a run waits longer than it works: that is the wall, and whoever is busiest
there is what the wall is made of.

    per run   worker   its own work + the announcements of all others' runs that reach it
              store    one of STORE_CORES
              bus      its own commands + one delivery to each worker
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.report import RESULTS

WORKERS = (1, 2, 5, 10, 20, 50, 100)
STORE_CORES = 4
RUNS = 20_000  # simulated at each load
BUSIEST = 0.95  # of a processor: beyond it queues grow without end
STEPS = 12  # of the search for the wall


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds of one run: at its worker, in PostgreSQL, in Redis; and of one announcement: at each worker
    that hears it, and in Redis for each of these.
    """

    worker: float
    store: float
    bus: float
    hear: float
    deliver: float


@dataclass(frozen=True, slots=True)
class Wall:
    """The most runs a second with so many workers, how busy each part is then, and the median and the 99th
    percentile of the seconds that a run takes.
    """

    workers: int
    per_second: float
    busy: Mapping[str, float]
    median: float
    slowest: float

    @property
    def made_of(self) -> str:
        return max(self.busy, key=lambda name: self.busy[name])


def simulate(costs: Costs) -> list[Wall]:
    """The wall for each number of workers."""
    return [_wall(costs, workers) for workers in WORKERS]


def describe_fleet(walls: list[Wall]) -> str:
    """A table and a curve."""
    most = max(wall.per_second for wall in walls)
    lines = ["workers   runs/s   busy: worker  PostgreSQL  Redis   median ms   99 %   the wall"]
    for wall in walls:
        busy = wall.busy
        lines.append(
            f"{wall.workers:7} {wall.per_second:8.0f}   {busy['worker']:12.2f} {busy['store']:11.2f}"
            f" {busy['bus']:6.2f} {wall.median * 1000:11.1f} {wall.slowest * 1000:6.1f}   {wall.made_of}"
        )
    lines.append("")
    lines += [f"{wall.workers:7} {'#' * max(1, round(60 * wall.per_second / most))}" for wall in walls]
    return "\n".join(lines)


def write_costs(figures: Mapping[str, Any]) -> Path:
    """Keep what `measure_cluster` found, for `simulate`; the file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "cluster.json"
    costs = {
        load: {title: asdict(cost) for title, cost in rows.items()} for load, rows in figures["costs"].items()
    }
    path.write_text(json.dumps({**figures, "costs": costs}, indent=1))
    return path


def read_costs(path: Path = RESULTS / "cluster.json") -> Costs:
    """The costs of a run with a session. Raises SystemExit: nothing was measured yet."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        raise SystemExit("Nothing was measured yet: run `python -m bench cluster` first.") from None
    user = found["costs"]["plain, user"]["PostgreSQL + Redis, 1 worker"]
    announced = found["announced"]
    return Costs(
        worker=user["gateway"] / 1000,
        store=user["postgres"] / 1000,
        bus=user["redis"] / 1000,
        hear=announced["hear"] / 1000,
        deliver=announced["deliver"] / 1000,
    )


def _wall(costs: Costs, workers: int) -> Wall:
    """Between no load and what the busiest part could ever do, by halving."""
    low, high = 0.0, BUSIEST / max(_busy(costs, workers, 1.0).values())
    best = _run(costs, workers, high / 2)
    for _ in range(STEPS):
        load = (low + high) / 2
        found = _run(costs, workers, load)
        work = costs.worker + costs.store + costs.bus + workers * costs.deliver
        if found.median < 2 * work:
            low, best = load, found
        else:
            high = load
    return best


def _busy(costs: Costs, workers: int, per_second: float) -> dict[str, float]:
    """How much of a processor each part uses at that load."""
    others = per_second * (workers - 1)
    return {
        "worker": (per_second * costs.worker + others * costs.hear) / workers,
        "store": per_second * costs.store / STORE_CORES,
        "bus": per_second * (costs.bus + (workers - 1) * costs.deliver),
    }


def _run(costs: Costs, workers: int, per_second: float) -> Wall:
    """Simulate RUNS runs, and how long they took."""
    chance = random.Random(workers)
    # What a worker spends on hearing of others' runs makes its own work take longer.
    slower = 1.0 / max(0.05, 1.0 - per_second * (workers - 1) * costs.hear / workers)
    parts = (
        (_Part(workers), costs.worker * slower),
        (_Part(STORE_CORES), costs.store),
        (_Part(1), costs.bus + (workers - 1) * costs.deliver),
    )
    waiting: list[tuple[float, int, int, float]] = []  # when, its number, at which part, since when
    now = 0.0
    for number in range(RUNS):
        now += chance.expovariate(per_second)
        waiting.append((now, number, 0, now))
    heapq.heapify(waiting)
    took: list[float] = []
    while waiting:
        moment, number, place, since = heapq.heappop(waiting)
        part, seconds = parts[place]
        done = part.work(moment, chance.expovariate(1 / seconds))
        if place + 1 < len(parts):
            heapq.heappush(waiting, (done, number, place + 1, since))
        else:
            took.append(done - since)
    took.sort()
    busy = _busy(costs, workers, per_second)
    return Wall(workers, per_second, busy, took[len(took) // 2], took[int(len(took) * 0.99)])


class _Part:
    """Some processors, each doing one thing at a time; who comes takes the one that is free first."""

    def __init__(self, processors: int) -> None:
        self._free_at = [0.0] * processors

    def work(self, moment: float, seconds: float) -> float:
        """When work of so many seconds, which comes at that moment, is done."""
        begin = max(moment, heapq.heappop(self._free_at))
        heapq.heappush(self._free_at, begin + seconds)
        return begin + seconds
