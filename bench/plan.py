"""The whole run: every subject is started once, then all loads go round by round over all of them.

What is told of memory is measured on a process of its own, that has done nothing before.
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

from bench.bounds import BARE, GATEWAY, judge
from bench.headroom import find_headroom
from bench.loads import CROWD, LOADS, SILENT, Load
from bench.machine import describe_machine
from bench.measure import CrowdFigures, Figures
from bench.peers import VERSIONS, measure_any, measure_any_crowd, start_peers
from bench.processes import Process, allow_many_files
from bench.sessions import measure_sessions
from bench.silent import measure_silent
from bench.start import IDLE_SECONDS, measure_start
from bench.subjects import Subject, start_bare_stack, start_gateway, start_nginx, start_upstream

Tell = Callable[[str], object]
FRESH = {BARE: start_bare_stack, GATEWAY: start_gateway}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything. `seconds` is for one load on one subject in one round."""

    rounds: int = 15  # many short ones: what else the machine does comes and goes
    seconds: float = 0.8
    peer_rounds: int = 3  # they are slow
    starts: int = 5
    crowd_rounds: int = 2
    sessions: tuple[int, ...] = (5_000, 20_000, 50_000)
    silent_seconds: float = 55.0  # a tick, and the second ping: whoever left the first unanswered is closed
    peers: bool = False


QUICK = Plan(rounds=1, seconds=1.0, starts=1, crowd_rounds=1, sessions=(), silent_seconds=10.0)


def run(plan: Plan, tell: Tell) -> dict[str, Any]:
    """All figures, as the JSON document has them."""
    allow_many_files()
    tell("start and idle memory")
    document: dict[str, Any] = {
        "machine": describe_machine(),
        "plan": {"rounds": plan.rounds, "seconds": plan.seconds},
        "start": measure_start(plan.starts),
    }
    with (
        tempfile.TemporaryDirectory(prefix="openclaw-bench-") as name,
        _subjects(Path(name), plan, tell) as subjects,
    ):
        upstream = subjects[0].process
        document["subjects"] = [subject.name for subject in subjects]
        document["peers"] = VERSIONS if plan.peers else {}
        document["idle"] = {one.name: _memory(one) for one in subjects}
        document["rows"] = _rounds(plan, subjects, upstream, tell)
        document["headroom"] = find_headroom(document["rows"])
        document["crowd"] = _crowds(plan, subjects, tell)
        document["idle_websockets"] = _silent(plan, upstream, tell)
        if plan.sessions:
            tell(f"{plan.sessions[-1]} sessions")
            with _fresh(GATEWAY, upstream) as gateway:
                document["sessions"] = measure_sessions(gateway, plan.sessions, tell)
    document["bounds"] = judge(document)
    return document


@contextmanager
def _subjects(folder: Path, plan: Plan, tell: Tell) -> Iterator[list[Subject]]:
    """The upstream first; whatever was started is stopped."""
    subjects = [start_upstream(folder)]
    port = subjects[0].process.port
    try:
        if nginx := start_nginx(folder, port):
            subjects.append(nginx)
        subjects.append(start_bare_stack(folder, port))
        subjects.append(start_gateway(folder, port))
        for peer in start_peers(folder, port, tell) if plan.peers else ():
            subjects.append(peer)  # one by one: what was started is stopped if the next fails
        yield subjects
    finally:
        for subject in reversed(subjects):
            subject.process.stop()


def _rounds(plan: Plan, subjects: Sequence[Subject], upstream: Process, tell: Tell) -> list[dict[str, Any]]:
    measured: dict[tuple[Load, int, str], list[Figures]] = {}
    for number in range(plan.rounds):
        for load in LOADS:
            tell(f"round {number + 1} of {plan.rounds}: {load.name}")
            for at_once in load.at_once:
                for subject in subjects:
                    if subject.takes(load, at_once) and not (subject.answers and number >= plan.peer_rounds):
                        figures = measure_any(subject, upstream, load, at_once, plan.seconds)
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


def _crowds(plan: Plan, subjects: Sequence[Subject], tell: Tell) -> list[dict[str, Any]]:
    rows = []
    for subject in subjects:
        if subject.in_crowd:
            tell(f"{CROWD.name}: {subject.name}")
            count = 1 if subject.answers else plan.crowd_rounds
            rounds = [_crowd(subject, subjects[0].process) for _ in range(count)]
            worst = max(rounds, key=lambda one: one.slowest / max(one.median, 1e-9))
            rows.append({"subject": subject.name, **worst.as_json()})
    return rows


def _crowd(subject: Subject, upstream: Process) -> CrowdFigures:
    with _fresh(subject.name, upstream) if subject.name in FRESH else nullcontext(subject) as one:
        return measure_any_crowd(one, CROWD, CROWD.at_once[0])


def _silent(plan: Plan, upstream: Process, tell: Tell) -> dict[str, Any]:
    tell(f"{SILENT} idle WebSockets")
    with _fresh(GATEWAY, upstream) as gateway:
        return measure_silent(gateway, SILENT, plan.silent_seconds).as_json()


@contextmanager
def _fresh(name: str, upstream: Process) -> Iterator[Subject]:
    """Another process of that subject, with a folder and a database of its own, for one measurement."""
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
    """All rounds, in their order, so that subjects can be compared within each."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "all": list(values)}
