"""One load on one subject: throughput, latency and CPU."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from bench.generator import Generator
from bench.loads import Load, body_of, post, session_keys
from bench.processes import Process
from bench.subjects import Subject
from bench.upstream import MODELS
from bench.websocket import ChatGenerator

WARM_UP_SECONDS = 0.3
SLOW_SECONDS = 120.0  # the limit for subjects that are measured by their number of answers
MANY_STREAMS_SECONDS = 300.0
_salts = itertools.count()


@dataclass(slots=True)
class Figures:
    """Latencies in milliseconds. `busy` is how much of one core the subject, the upstream and the load
    generator used: the figures describe the subject only while the other two are far from 1.
    """

    per_second: float
    cpu_ms: float
    busy: dict[str, float]
    errors: list[str] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)
    between: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(subject: Subject, upstream: Process, load: Load, at_once: int, seconds: float) -> Figures:
    """Runs one load on one subject for so many seconds, or until it has given its `answers`."""
    model = MODELS[load.model]
    paced = load.stream and model.every > 0
    generator = _generator(subject, load, at_once, paced=paced)
    ramp = model.pieces * model.every if paced else 0.0
    try:
        if not subject.answers:
            generator.warm_up(WARM_UP_SECONDS, ramp)
        before = subject.process.cpu_seconds(), upstream.cpu_seconds()
        if subject.answers:
            result = generator.run_out(ramp, at_most=SLOW_SECONDS)
        else:
            result = generator.measure(seconds)
        after = subject.process.cpu_seconds(), upstream.cpu_seconds()
    finally:
        generator.close()
    cpu, upstream_cpu = (late - early for early, late in zip(before, after, strict=True))
    # A paced answer takes longer than the measurement, so pieces are counted.
    answers = result.pieces / model.pieces if paced else result.answers
    return Figures(
        per_second=answers / result.seconds,
        cpu_ms=cpu * 1000 / max(answers, 1e-9),
        busy={
            "subject": cpu / result.seconds,
            "upstream": upstream_cpu / result.seconds,
            "load": result.cpu_seconds / result.seconds,
        },
        errors=result.errors,
        first=quantiles(result.first),
        between=quantiles(result.delays),
    )


def _generator(subject: Subject, load: Load, at_once: int, *, paced: bool) -> Generator:
    port, pieces = subject.process.port, MODELS[load.model].pieces
    salt = f"s{time.time_ns()}-{next(_salts)}"
    if load.websocket:
        return ChatGenerator(port, partial(session_keys, load, salt), at_once, pieces)
    requests = subject.requests(load, salt)
    share = 1 if paced else math.ceil(subject.answers / at_once)
    few = (lambda number: itertools.islice(requests(number), share)) if subject.answers else requests
    return Generator(port, few, at_once, pieces, stream=load.stream, paced=paced)


@dataclass(slots=True)
class ManyStreamsFigures:
    """Durations of the streams in seconds, MiB of the worker before and during them."""

    streams: int
    errors: list[str]
    fastest: float
    median: float
    slowest: float
    worker_mib: float
    tree_mib: float
    cpu_ms: float
    first: dict[str, float]
    between: dict[str, float]
    before_mib: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure_many_streams(subject: Subject, load: Load, at_once: int, ramp: float = 2.0) -> ManyStreamsFigures:
    """`at_once` streams, one on each connection, started within `ramp` seconds."""
    model = MODELS[load.model]
    request = post(body_of(load, subject.name_model(load.model)), subject.headers)
    generator = Generator(
        subject.process.port, lambda _: iter((request,)), at_once, model.pieces, stream=True, paced=True
    )
    worker: list[float] = []
    tree: list[float] = []

    def note_memory() -> None:
        memory = subject.process.worker_memory()
        worker.append(memory.worker)
        tree.append(memory.tree)

    before = subject.process.cpu_seconds()
    try:
        note_memory()
        result = generator.run_out(ramp, note_memory, MANY_STREAMS_SECONDS)
    finally:
        generator.close()
    cpu = subject.process.cpu_seconds() - before
    lengths = sorted(result.lengths) or [0.0]
    return ManyStreamsFigures(
        streams=result.answers,
        errors=result.errors,
        fastest=lengths[0],
        median=statistics.median(lengths),
        slowest=lengths[-1],
        before_mib=worker[0],
        worker_mib=max(worker),
        tree_mib=max(tree),
        cpu_ms=cpu * 1000 / max(1, result.answers),
        first=quantiles(result.first),
        between=quantiles(result.delays),
    )


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile; empty with fewer than two values."""
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100)
    return {"p50": cuts[49], "p99": cuts[98]}
