"""A client that sends without a pause, and what a gateway does for others meanwhile."""

from __future__ import annotations

import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from tests.support.gateway import TOKEN, GatewayProcess
from tests.support.provider import wait_until

MiB = 1024 * 1024
WARM_UPS, HEALTH_REQUESTS, STREAMS = 5, 20, 3
# The median has to be below it; if answers took long before the flood, below that many times as long. One
# alone may be slower, for the machine may be busy with something else.
SECONDS = 1.0
TIMES = 20
SLOWEST = 5  # times the median's bound
MAX_GROWTH = 32 * MiB

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
CONTINUATION, TEXT, BINARY, PING, PONG = 0x0, 0x1, 0x2, 0x9, 0xA


def frame(opcode: int, payload: bytes = b"", final: bool = True) -> bytes:
    """A client's frame, masked with zeros, which leave the payload as it is."""
    size = len(payload)
    length = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + struct.pack("!H", size)
        if size < 65536
        else b"\xff" + struct.pack("!Q", size)
    )
    return bytes([opcode | (0x80 if final else 0)]) + length + b"\0\0\0\0" + payload


class Flood:
    """Threads that each send `openings`, then `piece` again and again without a pause, and connect again when
    the gateway ends the connection. With `await_answer`, they wait for an answer to each opening; with
    `reads`, they throw away what comes later.
    """

    def __init__(
        self,
        gateway: GatewayProcess,
        openings: tuple[bytes, ...],
        piece: bytes,
        *,
        connections: int = 1,
        await_answer: bool = True,
        reads: bool = True,
    ) -> None:
        self._address = ("127.0.0.1", gateway.port)
        self._openings, self._piece = openings, piece
        self._await_answer, self._reads = await_answer, reads
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(connections)]
        self.sent = 0  # bytes, by all connections
        self.ended = 0  # connections that the gateway has closed

    def __enter__(self) -> Flood:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(OSError):
                self._send()
            self.ended += 1

    def _send(self) -> None:
        with socket.create_connection(self._address, 10) as sock:
            for opening in self._openings:
                sock.sendall(opening)
                if self._await_answer:
                    sock.recv(65536)
            if self._reads:
                threading.Thread(target=_discard, args=(sock,), daemon=True).start()
            while not self._stopped.is_set():
                self.sent += sock.send(self._piece)


def _discard(sock: socket.socket) -> None:
    with suppress(OSError):
        while sock.recv(65536):
            pass


class Memory:
    """The worker's resident memory, watched. `growth` is the most it has grown by, in bytes."""

    def __init__(self, gateway: GatewayProcess) -> None:
        [self._worker] = psutil.Process(gateway.pid).children()
        self._before = self._most = self._worker.memory_info().rss
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def growth(self) -> int:
        return self._most - self._before

    def assert_harmless(self) -> None:
        """It has grown by less than MAX_GROWTH."""
        assert self.growth < MAX_GROWTH, f"memory grew by {self.growth / MiB:.0f} MiB"

    def _watch(self) -> None:
        while not self._stopped.wait(0.02):
            self._most = max(self._most, self._worker.memory_info().rss)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()


def assert_harmless(gateway: GatewayProcess, flood: Flood, began: Callable[[Flood], bool]) -> None:
    """Start the flood, wait until it has begun, and see that others are served as ever meanwhile, and that
    the worker's memory does not grow.
    """
    usual = warm_up(gateway)
    with Memory(gateway) as memory, flood:
        wait_until(lambda: began(flood), 30, "flood")
        sent = flood.sent
        assert_others_are_served(gateway, usual)
        assert flood.sent > sent or not flood.ended, "the flood was over before the others were served"
        memory.assert_harmless()


def warm_up(gateway: GatewayProcess) -> float:
    """Wait for the work of the start, the database's among it: its memory is not the flood's.

    Returns how many seconds an answer takes without a flood.
    """
    return statistics.median(
        _seconds_of(lambda: gateway.ask("warm up", user="warm up")) for _ in range(WARM_UPS)
    )


def assert_others_are_served(gateway: GatewayProcess, usual: float = 0.0) -> None:
    """HEALTH_REQUESTS ordinary requests, then STREAMS chat streams, are answered within SECONDS each, or
    TIMES what was `usual`.
    """
    limit = max(SECONDS, TIMES * usual)
    health = [_seconds_of(lambda: _ask_health(gateway, SLOWEST * limit)) for _ in range(HEALTH_REQUESTS)]
    streams = [_seconds_of(lambda: _read_stream(gateway)) for _ in range(STREAMS)]
    assert statistics.median(health) < limit, (limit, sorted(health))
    assert statistics.median(streams) < limit, (limit, sorted(streams))


def _seconds_of(act: Callable[[], object]) -> float:
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def _ask_health(gateway: GatewayProcess, seconds: float) -> None:
    assert gateway.request("GET", "/health", timeout=seconds).status == 200


def _read_stream(gateway: GatewayProcess) -> None:
    with gateway.stream("hi") as answer:
        assert b"[DONE]" in answer.read()


def authorized(head: bytes) -> bytes:
    """A request's head with the gateway's token."""
    return head + f"Authorization: Bearer {TOKEN}\r\n".encode()
