"""What the figures must show, and whether they do. Ratios are taken round by round, then their median."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from bench.loads import BURST, LONG, PACED, PLAIN, USER, Load

GATEWAY, BARE, UPSTREAM = "this gateway", "bare stack", "upstream alone"
LITELLM, OPENCLAW = "LiteLLM proxy", "openclaw"

AT_MOST = (
    ("plain, stateless", PLAIN, PLAIN, 2.0),
    ("20-chunk burst stream, stateless", BURST, BURST, 1.5),
    ("200-chunk paced stream", PACED, PACED, 1.5),
    ("plain with user (SQLite), sessions of 10 turns, against plain", USER, PLAIN, 4.0),
    ("400 messages", LONG, LONG, 1.5),
)
PEERS_AT_LEAST = (
    ("LiteLLM's proxy, plain", LITELLM, PLAIN, 10.0),
    ("LiteLLM's proxy, burst stream", LITELLM, BURST, 25.0),
    ("openclaw, plain", OPENCLAW, PLAIN, 200.0),
)


@dataclass(frozen=True, slots=True)
class Bound:
    """`limit` is the most, or with `at_least` the least."""

    name: str
    value: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def judge(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every bound that this run can tell of."""
    rows = {(row["load"], row["at_once"], row["subject"]): row for row in document["rows"]}

    def cpu(subject: str, load: Load) -> list[float]:
        at_once = load.at_once[len(load.at_once) // 2]
        row = rows.get((load.name, at_once, subject))
        return row["cpu_ms"]["all"] if row else []

    def ratio(above: list[float], below: list[float]) -> float:
        return statistics.median(one / other for one, other in zip(above, below, strict=False))

    bounds = [
        Bound(f"CPU, {name}", ratio(cpu(GATEWAY, load), cpu(BARE, floor)), limit, "x bare stack")
        for name, load, floor, limit in AT_MOST
    ]
    bounds += [
        Bound(
            f"CPU, {name}", ratio(cpu(peer, load), cpu(GATEWAY, load)), limit, "x this gateway", at_least=True
        )
        for name, peer, load, limit in PEERS_AT_LEAST
        if cpu(peer, load)
    ]
    bounds += _first_token(rows)
    bounds += _crowd(document)
    bounds += _idle(document)
    return [{**asdict(bound), "met": bound.met} for bound in bounds]


def _first_token(rows: dict[Any, Any]) -> list[Bound]:
    ours = rows[(PACED.name, PACED.at_once[0], GATEWAY)]["first"]
    alone = rows[(PACED.name, PACED.at_once[0], UPSTREAM)]["first"]["p50"]["median"]
    return [
        Bound(
            f"added time to first token, {PACED.at_once[0]} streams, {cut}",
            ours[cut]["median"] - alone,
            most,
            "ms",
        )
        for cut, most in (("p50", 3.0), ("p99", 15.0))
    ]


def _crowd(document: dict[str, Any]) -> list[Bound]:
    ours = next(row for row in document["crowd"] if row["subject"] == GATEWAY)
    return [
        Bound("1,000 paced streams: errors", len(ours["errors"]) + 1000 - ours["streams"], 0, "streams"),
        Bound("1,000 paced streams: slowest", ours["slowest"] / max(ours["median"], 1e-9), 1.2, "x median"),
        Bound("1,000 paced streams: memory of the worker", ours["worker_mib"], 150, "MiB"),
    ]


def _idle(document: dict[str, Any]) -> list[Bound]:
    start = document["start"]
    bounds = [
        Bound("idle memory of the worker", start["idle_worker_mib"], 90, "MiB"),
        Bound("command to first 200", start["start_seconds"], 1.0, "s"),
    ]
    if steps := document.get("sessions"):
        by_count = {step["sessions"]: step["worker_mib"] for step in steps}
        growth = by_count[max(by_count)] / by_count[5_000]
        bounds.append(Bound("memory after 50,000 sessions", growth, 1.1, "x that after 5,000"))
    return bounds
