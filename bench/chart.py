"""The figures as one chart: CPU for an answer, latency, memory. Each subject has one colour throughout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

LEFT_OUT = ("upstream alone",)
WIDTH = 0.84  # of the bars of one group


def write_chart(document: dict[str, Any], path: Path) -> Path:
    """Writes the chart as an image; its path."""
    figure = plt.figure(figsize=(18, 11))
    grid = figure.add_gridspec(2, 4, height_ratios=(5, 4))
    _cpu(figure.add_subplot(grid[0, :]), document)
    _latency(figure.add_subplot(grid[1, 0]), document)
    _idle(figure.add_subplot(grid[1, 1]), document)
    steps = document.get("sessions")
    _many_streams(figure.add_subplot(grid[1, 2] if steps else grid[1, 2:]), document)
    if steps:
        _sessions(figure.add_subplot(grid[1, 3]), steps)
    machine = document["machine"]
    figure.suptitle(
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, {machine['when']}"
    )
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _cpu(axes: Axes, document: dict[str, Any]) -> None:
    rows = [row for row in document["rows"] if row["subject"] not in LEFT_OUT and row["cpu_ms"]["median"]]
    loads = list(dict.fromkeys(_group(row) for row in rows))
    subjects = [name for name in document["subjects"] if name not in LEFT_OUT]
    width = WIDTH / len(subjects)
    for number, subject in enumerate(subjects):
        mine = [row for row in rows if row["subject"] == subject]
        middles = [row["cpu_ms"]["median"] for row in mine]
        spread = [
            [row["cpu_ms"]["median"] - row["cpu_ms"]["low"] for row in mine],
            [row["cpu_ms"]["high"] - row["cpu_ms"]["median"] for row in mine],
        ]
        places = [loads.index(_group(row)) + (number + 0.5) * width for row in mine]
        colour = _colour(document, subject)
        bars = axes.bar(places, middles, width, yerr=spread, capsize=2, label=subject, color=colour)
        axes.bar_label(bars, [_short(value) for value in middles], fontsize=6, padding=2)
    axes.set_yscale("log")
    axes.margins(x=0.01, y=0.12)
    axes.set_xticks([place + WIDTH / 2 for place in range(len(loads))], loads, fontsize=8)
    axes.set_title("CPU for one answer (ms, logarithmic)")
    axes.legend(ncols=len(subjects), loc="upper left", bbox_to_anchor=(0, 1.1), frameon=False)


def _latency(axes: Axes, document: dict[str, Any]) -> None:
    rows = [row for row in document["rows"] if "first" in row]
    _pairs(
        axes,
        [row["subject"] for row in rows],
        {cut: [row["first"][cut]["median"] for row in rows] for cut in ("p50", "p99")},
    )
    axes.set_yscale("log")
    at_once = rows[0]["at_once"] if rows else 0
    axes.set_title(f"Time to the first token,\n{at_once} paced streams (ms, logarithmic)", fontsize=10)


def _idle(axes: Axes, document: dict[str, Any]) -> None:
    idle = document["idle"]
    values = [one["tree_mib"] for one in idle.values()]
    colours = [_colour(document, name) for name in idle]
    axes.bar_label(
        axes.bar(list(idle), values, color=colours), [_short(value) for value in values], fontsize=8
    )
    axes.tick_params(axis="x", labelsize=8, rotation=30)
    axes.set_title("Idle memory, all processes (MiB)", fontsize=10)


def _many_streams(axes: Axes, document: dict[str, Any]) -> None:
    rows = document["many_streams"]
    series = {"before": "before_mib", "at most": "worker_mib"}
    _pairs(
        axes,
        [row["subject"] for row in rows],
        {label: [row[which] for row in rows] for label, which in series.items()},
    )
    axes.set_title("Memory of the worker,\n1,000 paced streams (MiB)", fontsize=10)


def _sessions(axes: Axes, steps: Sequence[dict[str, float]]) -> None:
    counts = [one["sessions"] for one in steps]
    for label, which in (("worker's memory", "worker_mib"), ("database", "database_mib")):
        axes.plot(counts, [one[which] for one in steps], marker="o", label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("distinct sessions so far")
    axes.set_title("Many sessions (MiB)", fontsize=10)
    axes.legend(fontsize=8)


def _pairs(axes: Axes, names: Sequence[str], series: dict[str, list[float]]) -> None:
    width = WIDTH / len(series)
    for number, (label, values) in enumerate(series.items()):
        places = [place + (number + 0.5) * width for place in range(len(names))]
        bars = axes.bar(places, values, width, label=label, color=f"C{number + 7}")
        axes.bar_label(bars, [_short(value) for value in values], fontsize=7)
    axes.set_xticks([place + WIDTH / 2 for place in range(len(names))], names, fontsize=8, rotation=30)
    axes.margins(y=0.12)
    axes.legend(fontsize=8)


def _group(row: dict[str, Any]) -> str:
    return f"{row['load'].replace(', ', chr(10))}\n{row['at_once']} at once"


def _colour(document: dict[str, Any], subject: str) -> str:
    return f"C{document['subjects'].index(subject)}"


def _short(value: float) -> str:
    """Two significant digits."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
