"""Other people's gateways before the same model, for `--peers`: LiteLLM's proxy and the published openclaw.

Each is installed once in its pinned version, into a cache outside the checkout (`BENCH_CACHE`, by default
~/.cache/openclaw-bench), and configured to be fast. A failure of one is reported in its row, or instead of
it, and does not end the benchmark.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from bench.bounds import LITELLM, OPENCLAW
from bench.install import Progress
from bench.litellm import VERSION as LITELLM_VERSION
from bench.litellm import start_litellm
from bench.loads import BURST, PLAIN, Load
from bench.measure import Figures, ManyStreamsFigures, measure, measure_many_streams
from bench.openclaw import VERSION as OPENCLAW_VERSION
from bench.openclaw import start_openclaw
from bench.peer_process import Peer
from bench.processes import Process
from bench.subjects import Subject

VERSIONS = {LITELLM: LITELLM_VERSION, OPENCLAW: OPENCLAW_VERSION}
WARM_UP_AT_ONCE = 4

Start = Callable[[Path, int, Progress], Subject]


def start_peers(folder: Path, upstream: int, progress: Progress) -> Iterator[Subject]:
    """Those that can be installed and start, one by one."""
    starts: dict[str, Start] = {LITELLM: start_litellm, OPENCLAW: start_openclaw}
    for name, start in starts.items():
        try:
            peer = start(folder, upstream, progress)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            progress(f"{name} is left out: {error}")
        else:
            yield peer


def measure_subject(subject: Subject, upstream: Process, load: Load, at_once: int, seconds: float) -> Figures:
    """A peer's failure becomes a row, too, and the work it does after its answers is waited for."""
    if not isinstance(subject.process, Peer):
        return measure(subject, upstream, load, at_once, seconds)
    try:
        with subject.process.awake():
            _warm_up(subject, subject.process, upstream)
            figures = measure(subject, upstream, load, at_once, seconds)
        return figures if figures.per_second else replace(figures, cpu_ms=0.0)
    except (OSError, psutil.Error) as error:
        return Figures(0.0, 0.0, dict.fromkeys(("subject", "upstream", "load"), 0.0), [repr(error)])


def _warm_up(subject: Subject, process: Peer, upstream: Process) -> None:
    """Once, before the first measurement and not at the start: idle memory is that before any request."""
    if not process.is_warm:
        process.is_warm = True
        for load in (PLAIN, BURST):
            measure(subject, upstream, load, WARM_UP_AT_ONCE, 0.0)


def measure_subject_streams(subject: Subject, load: Load, at_once: int) -> ManyStreamsFigures:
    """As `measure_subject`, of many streams at once."""
    if not isinstance(subject.process, Peer):
        return measure_many_streams(subject, load, at_once)
    try:
        with subject.process.awake():
            return measure_many_streams(subject, load, at_once)
    except (OSError, psutil.Error) as error:
        return ManyStreamsFigures(0, [repr(error)], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, {}, {})
