"""The complete benchmark: every subject is started once, then measured with all loads, round by round.

Memory under load is measured on a process of its own that has served no request before.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.bounds import BARE, GATEWAY, check_bounds
from bench.headroom import find_headroom
from bench.idle_connections import measure_idle_connections
from bench.loads import IDLE_CONNECTIONS, LOADS, MANY_STREAMS, Load
from bench.machine import describe_machine
from bench.measure import Figures, ManyStreamsFigures
from bench.peers import VERSIONS, measure_subject, measure_subject_streams, start_peers
from bench.processes import Process, allow_many_files
from bench.sessions import measure_sessions
from bench.start import IDLE_SECONDS, measure_start
from bench.subjects import Subject, start_bare_stack, start_gateway, start_nginx, start_upstream

Progress = Callable[[str], object]
FRESH = {BARE: start_bare_stack, GATEWAY: start_gateway}


@dataclass(frozen=True, slots=True)
class Suite:
    """How much is measured. `seconds` is for one load on one subject in one round."""

    rounds: int = 15  # many short ones even out what else the machine does
    seconds: float = 0.8
    peer_rounds: int = 3  # they are slow
    starts: int = 5
    many_streams_rounds: int = 2
    sessions: tuple[int, ...] = (5_000, 20_000, 50_000)
    idle_seconds: float = 55.0  # a tick and two pings: an unanswered ping closes at the next
    peers: bool = False


QUICK = Suite(rounds=1, seconds=1.0, starts=1, many_streams_rounds=1, sessions=(), idle_seconds=10.0)


def run(suite: Suite, progress: Progress) -> dict[str, Any]:
    """Measures everything; all figures, as in the JSON document."""
    allow_many_files()
    progress("start and idle memory")
    document: dict[str, Any] = {
        "machine": describe_machine(),
        "suite": {"rounds": suite.rounds, "seconds": suite.seconds},
        "start": measure_start(suite.starts),
    }
    with (
        tempfile.TemporaryDirectory(prefix="openclaw-bench-") as name,
        _subjects(Path(name), suite, progress) as subjects,
    ):
        upstream = subjects[0].process
        document["subjects"] = [subject.name for subject in subjects]
        document["peers"] = VERSIONS if suite.peers else {}
        document["idle"] = {one.name: _memory(one) for one in subjects}
        document["rows"] = _rounds(suite, subjects, upstream, progress)
        document["headroom"] = find_headroom(document["rows"])
        document["many_streams"] = _streams_of_all(suite, subjects, progress)
        document["idle_websockets"] = _idle_connections(suite, upstream, progress)
        if suite.sessions:
            progress(f"{suite.sessions[-1]} sessions")
            with _fresh(GATEWAY, upstream) as gateway:
                document["sessions"] = measure_sessions(gateway, suite.sessions, progress)
    document["bounds"] = check_bounds(document)
    return document


@contextmanager
def _subjects(folder: Path, suite: Suite, progress: Progress) -> Iterator[list[Subject]]:
    """All subjects, the upstream first. They are stopped at the end, also if one does not start."""
    subjects = [start_upstream(folder)]
    port = subjects[0].process.port
    try:
        if nginx := start_nginx(folder, port):
            subjects.append(nginx)
        subjects.append(start_bare_stack(folder, port))
        subjects.append(start_gateway(folder, port))
        for peer in start_peers(folder, port, progress) if suite.peers else ():
            subjects.append(peer)  # one by one, so that it is stopped if the next one fails
        yield subjects
    finally:
        for subject in reversed(subjects):
            subject.process.stop()


def _rounds(
    suite: Suite, subjects: Sequence[Subject], upstream: Process, progress: Progress
) -> list[dict[str, Any]]:
    measured: dict[tuple[Load, int, str], list[Figures]] = {}
    for number in range(suite.rounds):
        for load in LOADS:
            progress(f"round {number + 1} of {suite.rounds}: {load.name}")
            for at_once in load.at_once:
                for subject in subjects:
                    if subject.supports(load, at_once) and not (
                        subject.answers and number >= suite.peer_rounds
                    ):
                        figures = measure_subject(subject, upstream, load, at_once, suite.seconds)
                        measured.setdefault((load, at_once, subject.name), []).append(figures)
    return [
        {"load": load.name, "at_once": at_once, "subject": name, **_row(rounds)}
        for (load, at_once, name), rounds in measured.items()
    ]


def _row(rounds: Sequence[Figures]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "per_second": _spread([one.per_second for one in rounds]),
        "cpu_ms": _spread([one.cpu_ms for one in rounds]),
        "busy": {who: statistics.median(one.busy[who] for one in rounds) for who in rounds[0].busy},
        "errors": [error for one in rounds for error in one.errors],
    }
    for what in ("first", "between"):
        if all(getattr(one, what) for one in rounds):
            row[what] = {cut: _spread([getattr(one, what)[cut] for one in rounds]) for cut in ("p50", "p99")}
    return row


def _streams_of_all(suite: Suite, subjects: Sequence[Subject], progress: Progress) -> list[dict[str, Any]]:
    rows = []
    for subject in subjects:
        if subject.many_streams:
            progress(f"{MANY_STREAMS.name}: {subject.name}")
            count = 1 if subject.answers else suite.many_streams_rounds
            rounds = [_streams(subject, subjects[0].process) for _ in range(count)]
            worst = max(rounds, key=lambda one: one.slowest / max(one.median, 1e-9))
            rows.append({"subject": subject.name, **worst.as_json()})
    return rows


def _streams(subject: Subject, upstream: Process) -> ManyStreamsFigures:
    with _fresh(subject.name, upstream) if subject.name in FRESH else nullcontext(subject) as one:
        return measure_subject_streams(one, MANY_STREAMS, MANY_STREAMS.at_once[0])


def _idle_connections(suite: Suite, upstream: Process, progress: Progress) -> dict[str, Any]:
    progress(f"{IDLE_CONNECTIONS} idle WebSockets")
    with _fresh(GATEWAY, upstream) as gateway:
        return measure_idle_connections(gateway, IDLE_CONNECTIONS, suite.idle_seconds).as_json()


@contextmanager
def _fresh(name: str, upstream: Process) -> Iterator[Subject]:
    """A new process of that subject for one measurement, with a folder and a database of its own."""
    with tempfile.TemporaryDirectory(prefix="openclaw-bench-") as folder:
        subject = FRESH[name](Path(folder), upstream.port)
        try:
            time.sleep(IDLE_SECONDS)
            yield subject
        finally:
            subject.process.stop()


def _memory(subject: Subject) -> dict[str, float]:
    memory = subject.process.worker_memory()
    return {"worker_mib": memory.worker, "tree_mib": memory.tree}


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """`all` is in the order of the rounds, so that subjects can be compared round by round."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "all": list(values)}
