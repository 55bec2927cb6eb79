"""What a connection does with a client that is slow, or gone without a word."""

from __future__ import annotations

import threading
from typing import Any

from app.auth.authenticate import Caller
from app.ws.connection import Connection
from app.ws.connections import Connections
from app.ws.frames import EventFrame
from app.ws.handshake import MAX_BUFFERED

FRAME = EventFrame("chat", {"state": "final"})


class FakeSocket:
    """simple-websocket's side of a connection."""

    def __init__(self) -> None:
        self.connected = True
        self.pong_received = True
        self.event = threading.Event()
        self.closed: tuple[int, str | None] | None = None
        self.ws = self

    def send(self, _event: Any) -> bytes:
        return b"ping"

    def close(self, code: int, reason: str | None) -> None:
        self.closed = (code, reason)


class FakeWire:
    def __init__(self) -> None:
        self.queued = 0
        self.sent: list[bytes] = []
        self.on_broken: Any = None

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def check(self) -> None: ...


def connection() -> tuple[Connection, FakeSocket, FakeWire]:
    socket, wire = FakeSocket(), FakeWire()
    caller = Caller("127.0.0.1", lambda _: None)
    made = Connection(socket, wire, None, caller, Connections(), None)  # type: ignore[arg-type]
    return made, socket, wire


def test_one_far_behind_misses_what_is_said_again_and_gets_the_rest():
    made, socket, wire = connection()
    wire.queued = MAX_BUFFERED // 2 + 1
    made.tell(FRAME, droppable=True)
    assert wire.sent == []
    made.tell(FRAME)
    made.tell(FRAME)
    assert [b'"seq":1' in wire.sent[0], b'"seq":2' in wire.sent[1]] == [True, True]
    assert socket.closed is None


def test_one_too_far_behind_is_closed():
    made, socket, wire = connection()
    wire.queued = MAX_BUFFERED + 1
    made.tell(FRAME)
    assert socket.closed == (1008, "slow consumer")
    assert socket.event.is_set()
    assert wire.sent == []


def test_a_ping_that_nobody_answered_is_the_last():
    made, socket, wire = connection()
    made.ping()
    assert (wire.sent, socket.pong_received) == ([b"ping"], False)
    socket.pong_received = True
    made.ping()
    assert socket.closed is None
    made.ping()
    assert socket.closed == (1008, "ping timeout")
