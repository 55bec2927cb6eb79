"""What it costs to share: sessions in PostgreSQL and events in Redis in place of SQLite and memory; what a
second worker brings; and what a stream costs that somebody follows at another worker.

All of it runs on the processors of one machine, with the load, the model, PostgreSQL and Redis beside it: so
two workers cannot give twice as many answers here unless there are processors to spare. What can be compared
is the CPU time that an answer costs each of them.
"""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from app.client.frames import split_frames
from bench.generator import READ_SIZE
from bench.loads import PACED, PLAIN, USER, Load
from bench.measure import Figures, measure
from bench.subjects import Subject, start_gateway, start_upstream
from bench.websocket import connect
from tests.support.servers import PostgresServer, RedisServer, ServerProcess

AT_ONCE = 32
MESSAGES, LISTENERS, ANNOUNCEMENT = 5000, 40, b"x" * 300
SQLITE, ONE, TWO = "SQLite, 1 worker", "PostgreSQL + Redis, 1 worker", "PostgreSQL + Redis, 2 workers"
MOST_CPU, LEAST_GAIN, MOST_FOLLOWED = 2.5, 1.8, 1.3  # the bounds


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one answer, in milliseconds of CPU time; and how many came in a second."""

    per_second: float
    gateway: float
    postgres: float
    redis: float

    @property
    def all(self) -> float:
        return self.gateway + self.postgres + self.redis


def measure_cluster(seconds: float = 5.0, rounds: int = 3) -> dict[str, Any]:
    """The medians over the rounds. Raises RuntimeError: something failed under load."""
    with tempfile.TemporaryDirectory(prefix="openclaw-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        postgres, redis = stack.enter_context(PostgresServer()), stack.enter_context(RedisServer())
        upstream = start_upstream(folder)
        stack.callback(upstream.process.stop)

        def start(title: str, number: int, **variables: str) -> Subject:
            own = folder / f"subject-{number}"
            own.mkdir()
            subject = start_gateway(own, upstream.process.port, title, **variables)
            stack.callback(subject.process.stop)
            return subject

        shared = {"DATABASE_URL": postgres.new_database(), "REDIS_URL": redis.url(1)}
        pair = {"DATABASE_URL": postgres.new_database(), "REDIS_URL": redis.url(2)}
        subjects = [
            start(SQLITE, 1),
            start(ONE, 2, **shared),
            start(TWO, 3, **pair, WEB_CONCURRENCY="2"),
        ]
        servers = (postgres, redis)
        costs: dict[str, dict[str, Cost]] = {}
        for load in (USER, PLAIN):
            found: dict[str, list[Cost]] = {one.name: [] for one in subjects}
            for _ in range(rounds):
                for one in subjects:
                    found[one.name].append(_cost(one, upstream, servers, load, seconds))
            costs[load.name] = {title: _median(several) for title, several in found.items()}
        other = start("another host", 4, **shared)
        announced = _announced(subjects[1], other, upstream, redis, seconds)
        followed = _followed(subjects[1], other, upstream, seconds)
    return {"processors": os.cpu_count(), "costs": costs, "announced": announced, "followed": followed}


def describe_cluster(figures: dict[str, Any]) -> str:
    """The tables, and each bound with what was found."""
    lines = [f"{figures['processors']} processors for everything", ""]
    for load, rows in figures["costs"].items():
        lines.append(f"{load}, {AT_ONCE} at once: answers a second; CPU ms of an answer")
        lines.append(f"  {'':32} answers/s  gateway  PostgreSQL  Redis")
        for title, cost in rows.items():
            spent = f"{cost.gateway:8.2f} {cost.postgres:11.2f} {cost.redis:6.2f}"
            lines.append(f"  {title:32} {cost.per_second:9.0f} {spent}")
    user = figures["costs"][USER.name]
    cpu, alone = user[ONE], user[SQLITE]
    gain = figures["costs"][USER.name][TWO].per_second / cpu.per_second
    follow = figures["followed"]
    lines += [
        "",
        _bound(
            "CPU of `user`, PostgreSQL + Redis / SQLite, gateway alone", cpu.gateway / alone.gateway, MOST_CPU
        ),
        f"  with what PostgreSQL and Redis use themselves: {cpu.all / alone.all:.2f}",
        f"answers a second, 2 workers / 1: {gain:.2f} (at least {LEAST_GAIN} where the processors are there)",
        _bound(
            "CPU of a stream's tokens at its worker, followed at another one / not",
            follow["followed"] / follow["alone"],
            MOST_FOLLOWED,
        ),
        f"  the other worker itself: {follow['other'] / follow['alone']:.2f}",
    ]
    return "\n".join(lines)


def _bound(what: str, found: float, most: float) -> str:
    return f"{what}: {found:.2f} (at most {most}: {'met' if found <= most else 'MISSED'})"


def _cost(
    subject: Subject, upstream: Subject, servers: tuple[ServerProcess, ...], load: Load, seconds: float
) -> Cost:
    before = [_cpu_seconds(one) for one in servers]
    figures = measure(subject, upstream.process, load, AT_ONCE, seconds)
    _refuse_errors(figures)
    answers = figures.per_second * seconds
    own = [(_cpu_seconds(one) - early) * 1000 / answers for one, early in zip(servers, before, strict=True)]
    return Cost(figures.per_second, figures.cpu_ms, *own)


def _announced(
    host: Subject, other: Subject, upstream: Subject, redis: RedisServer, seconds: float
) -> dict[str, float]:
    """CPU milliseconds that one run costs a worker which only hears of it, and Redis for telling one."""
    before = other.process.cpu_seconds()
    figures = measure(host, upstream.process, USER, AT_ONCE, seconds)
    _refuse_errors(figures)
    spent = other.process.cpu_seconds() - before
    return {"hear": spent * 1000 / (figures.per_second * seconds), "deliver": _delivery(redis)}


def _delivery(redis: RedisServer) -> float:
    """CPU milliseconds of Redis for giving a message to one more subscriber."""
    publisher, listeners = redis.client(), []

    def spent(channel: str) -> float:
        before = _cpu_seconds(redis)
        for _ in range(0, MESSAGES, 100):
            with publisher.pipeline(transaction=False) as pipeline:
                for _ in range(100):
                    pipeline.publish(channel, ANNOUNCEMENT)
                pipeline.execute()
        return _cpu_seconds(redis) - before

    try:
        for _ in range(LISTENERS):
            listeners.append(socket.create_connection(("127.0.0.1", redis.port), timeout=30))
            listeners[-1].sendall(b"SUBSCRIBE heard\r\n")
            listeners[-1].recv(READ_SIZE)
        return max(0.0, spent("heard") - spent("unheard")) * 1000 / (MESSAGES * LISTENERS)
    finally:
        for one in listeners:
            one.close()
        publisher.close()


def _followed(host: Subject, other: Subject, upstream: Subject, seconds: float) -> dict[str, float]:
    """CPU milliseconds for a stream of the model `paced`: at its worker alone, while a client of the other
    host follows all of them, and at that host.
    """
    (at_once,) = PACED.at_once
    alone = measure(host, upstream.process, PACED, at_once, seconds)
    with _following(other.process.port) as received:
        before = other.process.cpu_seconds()
        followed = measure(host, upstream.process, PACED, at_once, seconds)
        spent = other.process.cpu_seconds() - before
    for figures in (alone, followed):
        _refuse_errors(figures)
    if received[0] < followed.per_second * seconds:
        raise RuntimeError(f"the other host's client got {received[0]} frames: it followed nothing")
    streams = followed.per_second * seconds
    return {"alone": alone.cpu_ms, "followed": followed.cpu_ms, "other": spent * 1000 / streams}


@contextmanager
def _following(port: int) -> Iterator[list[int]]:
    """A client over WebSocket that reads all events; the number of its frames."""
    sock, rest = connect(port)
    sock.settimeout(60)
    received = [0]

    def read(rest: bytes) -> None:
        try:
            while data := sock.recv(READ_SIZE):
                frames, rest = split_frames(rest + data)
                received[0] += len(frames)
        except OSError:
            return

    reader = threading.Thread(target=read, args=(rest,), daemon=True)
    reader.start()
    try:
        yield received
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        reader.join(10)
        sock.close()


def _cpu_seconds(server: ServerProcess) -> float:
    assert server.process is not None
    root = psutil.Process(server.process.pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _median(several: list[Cost]) -> Cost:
    return Cost(*(statistics.median(getattr(one, name) for one in several) for name in Cost.__slots__))


def _refuse_errors(figures: Figures) -> None:
    if figures.errors:
        raise RuntimeError(f"a request failed: {figures.errors[0]}")
