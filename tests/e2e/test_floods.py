"""One connection that never pauses does not stop the others, and takes no memory (docs/http.md#limits,
docs/websocket.md#limits).
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.flood import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    Flood,
    assert_harmless,
    authorized,
    frame,
)
from tests.support.gateway import GatewayProcess
from tests.support.operator import connect_params

CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
ONE_BYTE = b"1\r\n \r\n" * 10_000
CONNECT = frame(
    TEXT, json.dumps({"type": "req", "id": "1", "method": "connect", "params": connect_params()}).encode()
)
MiB = 1024 * 1024


def has_sent(size: int) -> Callable[[Flood], bool]:
    return lambda flood: flood.sent > size


@pytest.fixture
def own(start_gateway: StartGateway) -> GatewayProcess:
    return start_gateway()


# What is sent once on each connection, then again and again. Nobody needs the secret for these.
STRANGERS = {
    "pings before connect": (UPGRADE, frame(PING) * 10_000),
    "pongs before connect": (UPGRADE, frame(PONG) * 10_000),
    "fragments before connect": (
        UPGRADE + frame(TEXT, b"{", final=False),
        frame(CONTINUATION, b" ", False) * 9000,
    ),
    "empty fragments before connect": (
        UPGRADE + frame(TEXT, b"{", False),
        frame(CONTINUATION, b"", False) * 9000,
    ),
    "one large frame before connect": (UPGRADE + frame(TEXT, b" " * 40 * MiB)[:14], b" " * MiB),
    "messages before connect": (UPGRADE, frame(TEXT, b"{}") * 9000),
    "a body after 401, in chunks of a byte": (CHAT + CHUNKED, ONE_BYTE),
    "a body after 401, in large chunks": (CHAT + CHUNKED, b"100000\r\n" + b" " * MiB + b"\r\n"),
    "a body after 401, of known length": (CHAT + b"Content-Length: 99999999999\r\n\r\n", b" " * MiB),
    "a body after 404": (b"POST /no HTTP/1.1\r\nHost: localhost\r\n" + CHUNKED, ONE_BYTE),
    "a body after 405": (b"POST /health HTTP/1.1\r\nHost: localhost\r\n" + CHUNKED, ONE_BYTE),
    "a body of GET": (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + CHUNKED, ONE_BYTE),
    "a body after a bad chunk": (CHAT + CHUNKED + b"nonsense\r\n", ONE_BYTE),
}
UNANSWERED = {
    "pipelined requests": (b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000),
    "pipelined requests that fail": (b"", b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000),
    "a header block without end": (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 1000),
    "one header without end": (b"GET / HTTP/1.1\r\na: ", b"b" * 10_000),
    "a request line without end": (b"GET /", b"a" * 10_000),
    "blank lines": (b"", b"\r\n" * 10_000),
    "trailers without end": (
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + CHUNKED + b"0\r\n",
        b"a: b\r\n" * 1000,
    ),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_a_strangers_flood(own: GatewayProcess, what: str) -> None:
    opening, piece = STRANGERS[what]
    assert_harmless(own, Flood(own, (opening,), piece, connections=4), has_sent(100_000))


def test_many_strangers_at_once(own: GatewayProcess) -> None:
    opening, piece = STRANGERS["pings before connect"]
    assert_harmless(own, Flood(own, (opening,), piece, connections=40), has_sent(1_000_000))


@pytest.mark.parametrize("what", UNANSWERED)
def test_a_strangers_flood_of_requests(own: GatewayProcess, what: str) -> None:
    opening, piece = UNANSWERED[what]
    flood = Flood(own, (opening,), piece, connections=4, await_answer=False)
    assert_harmless(own, flood, has_sent(100_000))


def request_frame(method: str, **params: object) -> bytes:
    return frame(TEXT, json.dumps({"type": "req", "id": "2", "method": method, "params": params}).encode())


# With the secret, after `connect`.
OPERATORS = {
    "pings": frame(PING) * 10_000,
    "pings with a payload": frame(PING, b"x" * 125) * 1000,
    "large messages": frame(TEXT, b" " * MiB),
    "large binary messages": frame(BINARY, b" " * MiB),
    "messages of a byte": frame(TEXT, b" ") * 10_000,
    "fragments": frame(TEXT, b"", final=False)
    + frame(CONTINUATION, b" ", final=False) * 9000
    + frame(CONTINUATION),
    "requests": request_frame("health") * 1000,
    "requests that answer much": request_frame("models.list") * 1000,
    "messages beyond the limit": frame(TEXT, b" " * 60 * MiB),
}


@pytest.mark.parametrize("what", OPERATORS)
@pytest.mark.parametrize("reads", [True, False])
def test_an_operators_flood(own: GatewayProcess, what: str, reads: bool) -> None:
    piece = OPERATORS[what] * (1 + 100_000 // len(OPERATORS[what]))
    assert_harmless(own, Flood(own, (UPGRADE, CONNECT), piece, reads=reads), has_sent(500_000))


def test_a_body_in_chunks_of_a_byte(own: GatewayProcess) -> None:
    opening = authorized(CHAT) + CHUNKED
    flood = Flood(own, (opening,), ONE_BYTE, connections=2, await_answer=False)
    assert_harmless(own, flood, has_sent(500_000))


MANY_VALUES = b"[" + b"[]," * 2_000_000 + b"[]]"
CALL = {
    "id": "a",
    "type": "function",
    "function": {"name": "f", "arguments": f'{{"a":{MANY_VALUES.decode()}}}'},
}
CALL_MESSAGES = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "a", "content": "done"},
]
# Small to send, and large to hold: each of these lists takes twenty times its bytes.
BODIES = {
    "messages": b'{"messages":%b}' % MANY_VALUES,
    "an unknown field": b'{"messages":[{"role":"user","content":"hi"}],"x":%b}' % MANY_VALUES,
    "arguments of a call": json.dumps({"messages": CALL_MESSAGES}).encode(),
}


@pytest.mark.parametrize("where", BODIES)
def test_bodies_of_very_many_values(own: GatewayProcess, where: str) -> None:
    body = BODIES[where]
    request = authorized(CHAT) + b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert_harmless(own, Flood(own, (b"",), request, await_answer=False), has_sent(1_000_000))


def test_messages_of_very_many_values(own: GatewayProcess) -> None:
    message = frame(TEXT, b'{"type":"req","id":"2","method":"health","params":{"a":%b}}' % MANY_VALUES)
    assert_harmless(own, Flood(own, (UPGRADE, CONNECT), message), has_sent(1_000_000))
