"""Open connections of the Gateway protocol without requests, and what they cost."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from app.client.errors import ClientError
from app.client.frames import PING, PONG, RawFrame, encode_frame, encode_request, split_frames
from bench.generator import READ_SIZE
from bench.subjects import Subject
from bench.websocket import connect

CHECK = "check"  # the id of the last request
ANSWER_SECONDS = 10.0
SETTLE_SECONDS = 1.0
KIB = 1024


@dataclass(slots=True)
class IdleFigures:
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


def measure_idle_connections(subject: Subject, count: int, seconds: float) -> IdleFigures:
    """What `count` connections cost while they are opened, and in `seconds` of being open."""
    process, idle = subject.process, IdleConnections()
    before, cpu_before = process.worker_memory().worker, process.cpu_seconds()
    try:
        for _ in range(count):
            idle.open(process.port)
        idle.listen(SETTLE_SECONDS)
        cpu_open, begin = process.cpu_seconds(), time.monotonic()
        idle.listen(seconds)
        lasted = time.monotonic() - begin
        cpu_idle, worker = process.cpu_seconds() - cpu_open, process.worker_memory().worker
        idle.check_all(ANSWER_SECONDS)
    finally:
        idle.close()
    return IdleFigures(
        connections=idle.answers,
        seconds=lasted,
        before_mib=before,
        worker_mib=worker,
        kib_each=(worker - before) * KIB / count,
        open_cpu_ms=(cpu_open - cpu_before) * 1000 / count,
        cpu_per_second=cpu_idle / lasted,
        ticks=idle.ticks,
        pings=idle.pings,
        errors=idle.errors,
    )


class IdleConnections:
    """Sends no requests, and answers pings."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, bytes]] = {}
        self.errors: list[str] = []
        self.ticks = self.pings = self.answers = 0

    def __len__(self) -> int:
        return len(self._open)

    def open(self, port: int) -> None:
        """One more connection; a failure is noted in `errors`."""
        try:
            sock, rest = connect(port)
        except (OSError, ClientError) as error:
            self.errors.append(str(error))
            return
        self._open[sock.fileno()] = sock, rest
        self._poll.register(sock, select.EPOLLIN)

    def listen(self, seconds: float) -> None:
        """Reads what arrives within so many seconds."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(left):
                self._read(fd)

    def check_all(self, seconds: float) -> None:
        """Sends each a small request; those without an answer within `seconds` are errors."""
        for sock, _ in self._open.values():
            sock.sendall(encode_request(CHECK, "last-heartbeat", {}))
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
        frames, rest = split_frames(rest + data)
        self._open[fd] = sock, rest
        for frame in frames:
            self._count(sock, frame)
        if not data:
            self.errors.append(f"closed: {frames[-1:]}")
            self._poll.unregister(sock)
            self._open.pop(fd)
            sock.close()

    def _count(self, sock: socket.socket, frame: RawFrame) -> None:
        opcode, payload = frame
        if opcode == PING:
            self.pings += 1
            sock.sendall(encode_frame(payload, PONG))
        elif b'"event":"tick"' in payload:
            self.ticks += 1
        elif b'"id":"%s"' % CHECK.encode() in payload and b'"ok":true' in payload:
            self.answers += 1
