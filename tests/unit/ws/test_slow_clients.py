"""What a connection does with a client that reads slowly, or no longer answers."""

from __future__ import annotations

import threading
from typing import Any

from app.auth.authenticate import Caller
from app.errors import InvalidRequest
from app.ws.connection import Connection
from app.ws.connections import Connections
from app.ws.frames import EventFrame
from app.ws.handshake import MAX_BUFFERED

FRAME = EventFrame("chat", {"state": "final"})


class FakeWebSocket:
    """simple-websocket's side of a connection."""

    def __init__(self) -> None:
        self.connected = True
        self.pong_received = True
        self.event = threading.Event()
        self.closed: tuple[int, str | None] | None = None
        self.ws = self
        self.input_buffer: list[str] = []

    def send(self, _event: Any) -> bytes:
        return b"ping"

    def close(self, code: int, reason: str | None) -> None:
        self.closed = (code, reason)


class FakeBufferedSocket:
    def __init__(self) -> None:
        self.queued = 0
        self.sent: list[bytes] = []
        self.on_broken: Any = None
        self.is_behind = False
        self.waiting = True

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def check_write_timeout(self) -> None: ...

    def stop_waiting(self) -> None:
        self.waiting = False


def connection() -> tuple[Connection, FakeWebSocket, FakeBufferedSocket]:
    websocket, socket = FakeWebSocket(), FakeBufferedSocket()
    caller = Caller("127.0.0.1", lambda _: None)
    made = Connection(websocket, socket, None, caller, Connections(), None)  # type: ignore[arg-type]
    return made, websocket, socket


def test_a_slow_client_misses_droppable_events_and_gets_the_rest():
    made, websocket, socket = connection()
    socket.queued = MAX_BUFFERED // 2 + 1
    made.notify(FRAME, droppable=True)
    assert socket.sent == []
    made.notify(FRAME)
    made.notify(FRAME)
    assert [b'"seq":1' in socket.sent[0], b'"seq":2' in socket.sent[1]] == [True, True]
    assert websocket.closed is None


def test_a_client_that_is_too_slow_is_closed():
    made, websocket, socket = connection()
    socket.queued = MAX_BUFFERED + 1
    made.notify(FRAME)
    assert websocket.closed == (1008, "slow consumer")
    assert websocket.event.is_set()
    assert socket.sent == []


def test_an_event_that_would_exceed_the_bound_counts_before_it_is_sent():
    made, _, socket = connection()
    socket.queued = MAX_BUFFERED // 2 - len(FRAME.numbered(1)) + 1
    assert not made.notify(FRAME, droppable=True)
    socket.queued -= 1
    assert made.notify(FRAME, droppable=True)
    assert [b'"seq":1' in sent for sent in socket.sent] == [True]


def test_responses_count_as_events_do():
    made, websocket, socket = connection()
    socket.queued = MAX_BUFFERED
    made.respond("1", {})
    assert len(socket.sent) == 1
    socket.queued = MAX_BUFFERED + 1
    made.respond("2", {})
    assert websocket.closed == (1008, "slow consumer")
    made.respond_error("3", InvalidRequest("no"))
    assert len(socket.sent) == 1
    assert not socket.waiting


def test_a_client_whose_pongs_are_not_read_is_not_pinged():
    made, websocket, socket = connection()
    made.ping()
    socket.is_behind = True
    made.ping()
    assert (websocket.closed, socket.sent) == (None, [b"ping"])


def test_an_unanswered_ping_closes_the_connection():
    made, websocket, socket = connection()
    made.ping()
    assert (socket.sent, websocket.pong_received) == ([b"ping"], False)
    websocket.pong_received = True
    made.ping()
    assert websocket.closed is None
    made.ping()
    assert websocket.closed == (1008, "ping timeout")
