"""The figures as Markdown tables and as a JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.headroom import describe_headroom
from bench.start import describe_start

RESULTS = Path(__file__).parent / "results"


def write_json(document: dict[str, Any]) -> Path:
    """Writes `bench/results/latest.json`; its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latest.json"
    path.write_text(json.dumps(document, indent=1))
    return path


def describe(document: dict[str, Any]) -> str:
    """All tables, as Markdown."""
    machine = document["machine"]
    suite = document["suite"]
    summary = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}; "
        f"{machine['when']}; load before: {machine['load_before']:.1f}; {suite['rounds']} rounds of "
        f"{suite['seconds']:g} s each. Medians; the spread of the rounds in brackets."
    )
    if peers := document.get("peers"):
        summary += " Beside it: " + ", ".join(f"{name} {version}" for name, version in peers.items()) + "."
    parts = [
        summary,
        "## CPU and throughput",
        _rows(document["rows"]),
        describe_headroom(document["headroom"]),
        "## Latency of the paced streams (ms)",
        _latencies(document["rows"]),
        "## 1,000 paced streams at once",
        _many_streams(document["many_streams"]),
        f"## {document['idle_websockets']['connections']:,} idle WebSockets",
        _idle_connections(document["idle_websockets"]),
        "## Memory and start",
        _idle(document["idle"]),
        *([_sessions(document["sessions"])] if "sessions" in document else []),
        describe_start(document["start"]),
        "## Bounds",
        _bounds(document["bounds"]),
    ]
    return "\n\n".join(parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def show(line: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"

    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([show(head), rule, *map(show, rows if isinstance(rows, list) else lines[1:])])


def _rows(rows: Sequence[dict[str, Any]]) -> str:
    head = (
        "load",
        "at once",
        "subject",
        "answers/s",
        "CPU ms each",
        "busy: subject",
        "upstream",
        "load",
        "errors",
    )
    return table(
        head,
        [
            (
                row["load"],
                str(row["at_once"]),
                row["subject"],
                _spread(row["per_second"], ".0f"),
                _spread(row["cpu_ms"], ".3f") if row["per_second"]["median"] else "-",
                *(f"{row['busy'][who]:.0%}" for who in ("subject", "upstream", "load")),
                str(len(row["errors"])),
            )
            for row in rows
        ],
    )


def _latencies(rows: Sequence[dict[str, Any]]) -> str:
    timed = [row for row in rows if "first" in row]
    return table(
        ("load", "at once", "subject", "to first token p50", "p99", "each token's delay p50", "p99"),
        [
            (
                row["load"],
                str(row["at_once"]),
                row["subject"],
                *(_spread(row[what][cut], ".2f") for what in ("first", "between") for cut in ("p50", "p99")),
            )
            for row in timed
        ],
    )


def _many_streams(rows: Sequence[dict[str, Any]]) -> str:
    head = (
        "subject",
        "complete",
        "errors",
        "fastest s",
        "median s",
        "slowest s",
        "CPU ms each",
        "worker MiB before",
        "at most",
    )
    return table(
        (*head, "token's delay p50 ms", "p99"),
        [
            (
                row["subject"],
                str(row["streams"]),
                str(len(row["errors"])),
                *(f"{row[which]:.2f}" for which in ("fastest", "median", "slowest")),
                f"{row['cpu_ms']:.1f}",
                *(f"{row[which]:.0f}" for which in ("before_mib", "worker_mib")),
                *(f"{row['between'].get(cut, 0):.1f}" for cut in ("p50", "p99")),
            )
            for row in rows
        ],
    )


def _idle(idle: dict[str, dict[str, float]]) -> str:
    return table(
        ("subject, idle", "worker MiB", "all its processes MiB"),
        [(name, f"{one['worker_mib']:.0f}", f"{one['tree_mib']:.0f}") for name, one in idle.items()],
    )


def _sessions(steps: Sequence[dict[str, float]]) -> str:
    return table(
        ("sessions so far", "worker MiB", "seconds for this step", "database MiB"),
        [
            (
                f"{one['sessions']:,}",
                f"{one['worker_mib']:.1f}",
                f"{one['seconds']:.1f}",
                f"{one['database_mib']:.1f}",
            )
            for one in steps
        ],
    )


def _idle_connections(figures: dict[str, Any]) -> str:
    head = (
        *("connected", "errors", "worker MiB before", "with them", "KiB each", "CPU ms to open one"),
        *("seconds idle", "CPU ms per second", "pings", "ticks"),
    )
    row = (
        f"{figures['connections']:,}",
        str(len(figures["errors"])),
        *(f"{figures[which]:.1f}" for which in ("before_mib", "worker_mib", "kib_each", "open_cpu_ms")),
        f"{figures['seconds']:.0f}",
        f"{figures['cpu_per_second'] * 1000:.1f}",
        *(f"{figures[which]:,}" for which in ("pings", "ticks")),
    )
    return table(head, [row])


def _bounds(bounds: Sequence[dict[str, Any]]) -> str:
    return table(
        ("bound", "measured", "limit", ""),
        [
            (
                bound["name"],
                f"{bound['value']:.2f} {bound['unit']}",
                f"{'at least' if bound['at_least'] else 'at most'} {bound['limit']:g}",
                "met" if bound["met"] else "NOT met",
            )
            for bound in bounds
        ],
    )


def _spread(values: dict[str, Any], form: str) -> str:
    if len(values["all"]) == 1:
        return format(values["median"], form)
    return f"{values['median']:{form}} ({values['low']:{form}}-{values['high']:{form}})"
