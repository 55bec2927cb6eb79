"""Time from the command to the first answer, memory without requests, and the command line's own start."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.gateway import spawn_gateway
from bench.processes import ROOT, Memory, clean_environment

IDLE_SECONDS = 3.0  # by then the database is open and maintenance has run once
COMMANDS = 5
NOWHERE = "http://127.0.0.1:9/v1"


def measure_start(rounds: int) -> dict[str, Any]:
    """Seconds and MiB of `rounds` starts, and apart from them of the first, which makes the database."""
    seconds: list[float] = []
    idle: list[Memory] = []
    with tempfile.TemporaryDirectory(prefix="openclaw-bench-") as folder:
        for _ in range(rounds + 1):
            gateway = spawn_gateway(Path(folder), NOWHERE, ("plain",))
            try:
                seconds.append(gateway.wait_for("/health"))
                time.sleep(IDLE_SECONDS)
                idle.append(gateway.worker_memory())
            finally:
                gateway.stop()
    return {
        "first_start_seconds": seconds[0],
        "start_seconds": statistics.median(seconds[1:]),
        "start_seconds_all": seconds[1:],
        "idle_worker_mib": statistics.median(one.worker for one in idle[1:]),
        "idle_tree_mib": statistics.median(one.tree for one in idle[1:]),
        "first_start_worker_mib": idle[0].worker,
        "command_cpu_seconds": statistics.median(_command_cpu_seconds() for _ in range(COMMANDS)),
    }


def _command_cpu_seconds() -> float:
    """CPU time of the shortest command: Python's start and what every command imports."""
    command = [sys.executable, "-m", "app", "--version"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, env=clean_environment(), check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def describe_start(figures: dict[str, Any]) -> str:
    """The figures as lines of text."""
    spread = figures["start_seconds_all"]
    return (
        f"command to the first 200 of /health: {figures['start_seconds']:.2f} s "
        f"(median of {len(spread)}; {min(spread):.2f}-{max(spread):.2f}), "
        f"{figures['first_start_seconds']:.2f} s when the database is made\n"
        f"idle memory of the one worker: {figures['idle_worker_mib']:.0f} MiB "
        f"({figures['first_start_worker_mib']:.0f} MiB after the start that makes the database)\n"
        f"idle memory of master and worker together: {figures['idle_tree_mib']:.0f} MiB\n"
        f"CPU of `python -m app --version`: {figures['command_cpu_seconds'] * 1000:.0f} ms\n"
        f"How: `gunicorn -c gunicorn.conf.py wsgi:app`, /health asked every 5 ms from the moment the command "
        f"is given; {IDLE_SECONDS:g} s after the first 200, the worker's resident size (RSS of its "
        "process), and the proportional size (PSS) of both processes."
    )
