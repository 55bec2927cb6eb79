"""The figures as one picture: CPU for an answer, latency, and the memory of many sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

LEFT_OUT = ("upstream alone",)


def write_picture(document: dict[str, Any], path: Path) -> Path:
    figure, axes = plt.subplots(1, 3, figsize=(18, 6), gridspec_kw={"width_ratios": (3, 2, 2)})
    _cpu(axes[0], document)
    _latency(axes[1], document)
    _memory(axes[2], document)
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
    rows = [row for row in document["rows"] if row["subject"] not in LEFT_OUT]
    loads = list(dict.fromkeys(f"{row['load']}\n{row['at_once']} at once" for row in rows))
    subjects = [name for name in document["subjects"] if name not in LEFT_OUT]
    width = 0.8 / len(subjects)
    for number, subject in enumerate(subjects):
        mine = [row for row in rows if row["subject"] == subject]
        places = [loads.index(f"{row['load']}\n{row['at_once']} at once") + number * width for row in mine]
        medians = [row["cpu_ms"]["median"] for row in mine]
        spread = [
            [row["cpu_ms"]["median"] - row["cpu_ms"]["low"] for row in mine],
            [row["cpu_ms"]["high"] - row["cpu_ms"]["median"] for row in mine],
        ]
        axes.bar(places, medians, width, yerr=spread, capsize=2, label=subject)
    axes.set_yscale("log")
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(loads))], loads, fontsize=7, rotation=30)
    axes.set_title("CPU for one answer (ms, logarithmic)")
    axes.legend()


def _latency(axes: Axes, document: dict[str, Any]) -> None:
    rows = [row for row in document["rows"] if "first" in row]
    for number, cut in enumerate(("p50", "p99")):
        places = [place + number * 0.4 for place in range(len(rows))]
        axes.bar(places, [row["first"][cut]["median"] for row in rows], 0.4, label=cut)
    axes.set_xticks([place + 0.2 for place in range(len(rows))], [row["subject"] for row in rows], fontsize=8)
    axes.set_title(f"Time to the first token, {rows[0]['at_once']} paced streams (ms)")
    axes.legend()


def _memory(axes: Axes, document: dict[str, Any]) -> None:
    steps = document.get("sessions")
    if not steps:
        idle = document["idle"]
        axes.bar(list(idle), [one["tree_mib"] for one in idle.values()])
        axes.tick_params(axis="x", labelsize=8)
        axes.set_title("Idle memory, all processes (MiB)")
        return
    axes.plot([one["sessions"] for one in steps], [one["worker_mib"] for one in steps], marker="o")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("distinct sessions so far")
    axes.set_title("Memory of the worker (MiB)")
