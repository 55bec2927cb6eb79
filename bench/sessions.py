"""What many sessions cost: memory of the worker, time, and the size of the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from bench.generator import Generator, Requests, Result
from bench.loads import Load, body_of, post
from bench.processes import MIB
from bench.subjects import Subject
from bench.upstream import MODELS

SETTLE_SECONDS = 1.0
AT_ONCE = 32
LOAD = Load("sessions", "plain", (AT_ONCE,), user=True)


def measure_sessions(
    subject: Subject, counts: Sequence[int], progress: Callable[[str], object]
) -> list[dict[str, float]]:
    """A row for no session, then one for each count: each session is one request with a user of its own.

    `seconds` are those in which the sessions since the row before were made. Raises RuntimeError.
    """
    steps = [_step(subject, 0, 0.0)]
    for count in counts:
        done = int(steps[-1]["sessions"])
        result = _run_out(subject, _requests(subject, f"m{time.time_ns()}", count - done))
        if result.errors:
            raise RuntimeError(f"a session failed: {result.errors[0]}")
        time.sleep(SETTLE_SECONDS)
        steps.append(_step(subject, done + result.answers, result.seconds))
        progress(f"{steps[-1]['sessions']} sessions: {steps[-1]['worker_mib']:.1f} MiB")
    return steps


def _requests(subject: Subject, salt: str, count: int) -> Requests:
    def ask(connection: int) -> Iterator[bytes]:
        for number in range(connection, count, AT_ONCE):
            body = body_of(LOAD, subject.name_model(LOAD.model), f"{salt}-{number}")
            yield post(body, subject.headers)

    return ask


def _run_out(subject: Subject, requests: Requests) -> Result:
    generator = Generator(subject.process.port, requests, AT_ONCE, MODELS[LOAD.model].pieces, stream=False)
    try:
        return generator.run_out()
    finally:
        generator.close()


def _step(subject: Subject, sessions: int, seconds: float) -> dict[str, float]:
    memory = subject.process.worker_memory()
    return {
        "sessions": sessions,
        "worker_mib": memory.worker,
        "tree_mib": memory.tree,
        "seconds": seconds,
        "database_mib": _database_bytes(subject) / MIB,
    }


def _database_bytes(subject: Subject) -> int:
    """The file, its write-ahead log and its index."""
    state = subject.process.log.parent / "state"
    return sum(path.stat().st_size for path in state.rglob("*.sqlite*"))
