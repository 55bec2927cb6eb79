"""Machine instructions for one request, counted by valgrind: the same on a busy machine and on an idle one.

Fifty times as slow as without, but exact: it shows what a change saves where time varies too much. Only what
the serving process itself executes is counted, not the kernel's work for it.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench import processes
from bench.generator import Generator
from bench.loads import BURST, LONG, PLAIN, USER, Load
from bench.report import table
from bench.subjects import Subject, start_bare_stack, start_gateway, start_upstream
from bench.upstream import MODELS

COUNTED = (PLAIN, BURST, LONG, USER)
WARM_UP, REQUESTS = 30, 60
SETTLE_SECONDS = 15.0  # until background work of the start is done, at this speed


def count_all() -> dict[str, dict[str, float]]:
    """Thousands of instructions for one request of each load, by subject."""
    if shutil.which("valgrind") is None:
        raise SystemExit("This needs valgrind.")
    counts: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="openclaw-bench-") as name:
        folder = Path(name)
        upstream = start_upstream(folder)
        out = f"--callgrind-out-file={folder}/out.%p"
        processes.WRAPPER[:] = ["valgrind", "--tool=callgrind", "--trace-children=yes", "-q", out]
        try:
            for start in (start_bare_stack, start_gateway):
                subject = start(folder, upstream.process.port)
                try:
                    time.sleep(SETTLE_SECONDS)
                    loads = [load for load in COUNTED if subject.supports(load, 1)]
                    counts[subject.name] = {load.name: _count(subject, load, folder) for load in loads}
                finally:
                    subject.process.stop()
        finally:
            processes.WRAPPER.clear()
            upstream.process.stop()
    return counts


def describe_counts(counts: dict[str, dict[str, float]]) -> str:
    """The counts as a Markdown table."""
    rows = [(name, load, f"{count:.0f}") for name, loads in counts.items() for load, count in loads.items()]
    return table(("subject", "load", "1000 instructions each"), rows)


def _count(subject: Subject, load: Load, folder: Path) -> float:
    worker = str(subject.process.worker)
    _send(subject, load, WARM_UP)
    subprocess.run(["callgrind_control", "-z", worker], check=True, capture_output=True)
    _send(subject, load, REQUESTS)
    time.sleep(0.5)  # a run ends after its answer
    subprocess.run(["callgrind_control", "-d", worker], check=True, capture_output=True)
    newest = max(folder.glob(f"out.{worker}.*"), key=lambda path: int(path.suffix[1:]))
    total = next(line for line in newest.read_text().splitlines() if line.startswith(("totals:", "summary:")))
    return int(total.split()[1]) / REQUESTS / 1000


def _send(subject: Subject, load: Load, count: int) -> None:
    requests = subject.requests(load, f"i{time.time_ns()}")

    def ask(connection: int) -> itertools.islice[bytes]:
        return itertools.islice(requests(connection), count)

    generator = Generator(subject.process.port, ask, 1, MODELS[load.model].pieces, stream=load.stream)
    try:
        result = generator.run_out()
    finally:
        generator.close()
    if result.errors:
        raise RuntimeError(result.errors[0])
