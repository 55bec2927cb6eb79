"""The limits that the figures must keep. A ratio is the median of the rounds' ratios."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.loads import BURST, LONG, PACED, PLAIN, READS, USER, Load

GATEWAY, BARE, UPSTREAM = "this gateway", "bare stack", "upstream alone"
LITELLM, OPENCLAW = "LiteLLM proxy", "openclaw"

AT_MOST = (
    ("plain, stateless", PLAIN, PLAIN, 2.0),
    ("20-chunk burst stream, stateless", BURST, BURST, 1.5),
    ("200-chunk paced stream", PACED, PACED, 1.5),
    ("plain with user (SQLite), sessions of 10 turns, against plain", USER, PLAIN, 4.0),
    ("400 messages", LONG, LONG, 1.5),
)
OWN_AT_MOST = (("an agent's turn with one `read`, against plain", READS, PLAIN, 2.2),)
PEERS_AT_LEAST = (
    ("LiteLLM's proxy, plain", LITELLM, PLAIN, 10.0),
    ("LiteLLM's proxy, burst stream", LITELLM, BURST, 25.0),
    ("openclaw, plain", OPENCLAW, PLAIN, 200.0),
)
MEMORY_AT_LEAST = (("openclaw", OPENCLAW, 10.0),)


@dataclass(frozen=True, slots=True)
class Bound:
    """`limit` is a maximum, or with `at_least` a minimum."""

    name: str
    value: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


Rows = dict[tuple[str, int, str], dict[str, Any]]


def check_bounds(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every bound that this run can progress of."""
    rows: Rows = {(row["load"], row["at_once"], row["subject"]): row for row in document["rows"]}
    bounds = [
        *(
            Bound(f"CPU, {name}", ratio, limit, "x bare stack")
            for name, load, floor, limit in AT_MOST
            if (ratio := _ratio_to_floor(rows, GATEWAY, load, BARE, floor)) is not None
        ),
        *(
            Bound(f"CPU, {name}", ratio, limit, "x plain")
            for name, load, floor, limit in OWN_AT_MOST
            if (ratio := _ratio_to_floor(rows, GATEWAY, load, GATEWAY, floor)) is not None
        ),
        *_peers(rows, document["idle"]),
        *_first_token(rows),
        *_many_streams(document),
        *_idle(document),
    ]
    return [{**asdict(bound), "met": bound.met} for bound in bounds]


def _peers(rows: Rows, idle: dict[str, dict[str, float]]) -> Iterator[Bound]:
    unit = "x this gateway"
    for name, peer, load, limit in PEERS_AT_LEAST:
        if (found := _ratio_to_peer(rows, peer, load)) is not None:
            ratio, at_once = found
            yield Bound(f"CPU, {name}, {at_once} at once", ratio, limit, unit, at_least=True)
    for name, peer, limit in MEMORY_AT_LEAST:
        if peer in idle and GATEWAY in idle:
            ratio = idle[peer]["worker_mib"] / idle[GATEWAY]["worker_mib"]
            yield Bound(f"idle memory of the worker, {name}", ratio, limit, unit, at_least=True)


def _ratio_to_floor(rows: Rows, one: str, load: Load, other: str, floor: Load) -> float | None:
    return _ratio(
        rows.get((load.name, _middle_at_once(load), one)),
        rows.get((floor.name, _middle_at_once(floor), other)),
    )


def _ratio_to_peer(rows: Rows, peer: str, load: Load) -> tuple[float, int] | None:
    """The ratio and the number of requests at once: the load's middle one, or any that both have answered."""
    for at_once in (_middle_at_once(load), *load.at_once):
        ratio = _ratio(rows.get((load.name, at_once, peer)), rows.get((load.name, at_once, GATEWAY)))
        if ratio is not None:
            return ratio, at_once
    return None


def _middle_at_once(load: Load) -> int:
    return load.at_once[len(load.at_once) // 2]


def _ratio(above: dict[str, Any] | None, below: dict[str, Any] | None) -> float | None:
    """Of CPU for an answer: the median over the rounds in which both have answered."""
    if above is None or below is None:
        return None
    pairs = zip(above["cpu_ms"]["all"], below["cpu_ms"]["all"], strict=False)
    ratios = [one / other for one, other in pairs if one and other]
    return statistics.median(ratios) if ratios else None


def _first_token(rows: Rows) -> list[Bound]:
    both = [rows.get((PACED.name, PACED.at_once[0], subject), {}) for subject in (GATEWAY, UPSTREAM)]
    if not all("first" in row for row in both):
        return []
    ours, alone = both[0]["first"], both[1]["first"]["p50"]["median"]
    return [
        Bound(
            f"added time to first token, {PACED.at_once[0]} streams, {cut}",
            ours[cut]["median"] - alone,
            most,
            "ms",
        )
        for cut, most in (("p50", 3.0), ("p99", 15.0))
    ]


def _many_streams(document: dict[str, Any]) -> list[Bound]:
    ours = next(row for row in document["many_streams"] if row["subject"] == GATEWAY)
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
