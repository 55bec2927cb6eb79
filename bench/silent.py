"""Open connections of the Gateway protocol on which nothing is asked, and what they cost."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.frames import PING, PONG, masked, open_socket, request, split
from bench.generator import READ_SIZE
from bench.subjects import Subject

ANSWER_SECONDS = 10.0
SETTLE_SECONDS = 1.0
KIB = 1024


@dataclass(slots=True)
class SilentFigures:
    """MiB of the worker before the first is opened and while all are open; CPU of the whole subject."""

    connections: int
    seconds: float
    before_mib: float
    worker_mib: float
    kib_each: float
    open_cpu_ms: float
    cpu_per_second: float
    ticks: int
    pings: int
    errors: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure_silent(subject: Subject, count: int, seconds: float) -> SilentFigures:
    process, silent = subject.process, Silent()
    before, cpu_before = process.worker_memory().worker, process.cpu_seconds()
    try:
        for _ in range(count):
            silent.open(process.port)
        silent.listen(SETTLE_SECONDS)
        cpu_open, begin = process.cpu_seconds(), time.monotonic()
        silent.listen(seconds)
        lasted = time.monotonic() - begin
        cpu_idle, worker = process.cpu_seconds() - cpu_open, process.worker_memory().worker
        silent.ask_all(ANSWER_SECONDS)
    finally:
        silent.close()
    return SilentFigures(
        connections=silent.answers,
        seconds=lasted,
        before_mib=before,
        worker_mib=worker,
        kib_each=(worker - before) * KIB / count,
        open_cpu_ms=(cpu_open - cpu_before) * 1000 / count,
        cpu_per_second=cpu_idle / lasted,
        ticks=silent.ticks,
        pings=silent.pings,
        errors=silent.errors,
    )


class Silent:
    """Open connections that ask nothing, and answer what they must."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, bytes]] = {}
        self.errors: list[str] = []
        self.ticks = self.pings = self.answers = 0

    def __len__(self) -> int:
        return len(self._open)

    def open(self, port: int) -> None:
        try:
            sock, rest = open_socket(port)
        except OSError as error:
            self.errors.append(str(error))
            return
        self._open[sock.fileno()] = sock, rest
        self._poll.register(sock, select.EPOLLIN)

    def listen(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(left):
                self._read(fd)

    def ask_all(self, seconds: float) -> None:
        """Ask each for something small, to see that it is there; those that do not answer are errors."""
        for sock, _ in self._open.values():
            sock.sendall(request("there?", "last-heartbeat", {}))
        until, due = time.monotonic() + seconds, len(self._open)
        while self.answers < due and time.monotonic() < until:
            self.listen(0.05)
        self.errors += ["no answer"] * (due - self.answers)

    def close(self) -> None:
        for sock, _ in self._open.values():
            sock.close()
        self._poll.close()

    def _read(self, fd: int) -> None:
        sock, rest = self._open[fd]
        try:
            data = sock.recv(READ_SIZE)
        except OSError:
            data = b""
        frames, rest = split(rest + data)
        self._open[fd] = sock, rest
        for opcode, payload in frames:
            self._note(sock, opcode, payload)
        if not data:
            self.errors.append(f"closed: {frames[-1:]}")
            self._poll.unregister(sock)
            self._open.pop(fd)
            sock.close()

    def _note(self, sock: socket.socket, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.pings += 1
            sock.sendall(masked(payload, PONG))
        elif b'"event":"tick"' in payload:
            self.ticks += 1
        elif b'"id":"there?"' in payload and b'"ok":true' in payload:
            self.answers += 1
