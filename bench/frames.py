"""The Gateway protocol by hand: frames, and the handshake of a client.

A mask of zeros is a legal one, and leaves a client's text as it is.
"""

from __future__ import annotations

import socket
from typing import Any

import orjson

from bench.gateway import TOKEN
from bench.generator import READ_SIZE

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
WHOLE, MASKED = 0x80, 0x80
NO_MASK = bytes(4)
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
CONNECT = {
    "minProtocol": 3,
    "maxProtocol": 4,
    "client": {"id": "cli", "version": "1.0", "platform": "linux", "mode": "cli"},
    "auth": {"token": TOKEN},
}

Frame = tuple[int, bytes]  # opcode, payload


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's whole frame."""
    size = len(payload)
    if size < 126:
        head = bytes((WHOLE | opcode, MASKED | size))
    elif size < 65536:
        head = bytes((WHOLE | opcode, MASKED | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((WHOLE | opcode, MASKED | 127)) + size.to_bytes(8, "big")
    return head + NO_MASK + payload


def split(data: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames of a server in `data`, and what is left."""
    frames: list[Frame] = []
    at, end = 0, len(data)
    while end - at >= 2:
        size, begin = data[at + 1], at + 2
        if size >= 126:
            begin += 2 if size == 126 else 8
            size = int.from_bytes(data[at + 2 : begin], "big")
        if begin + size > end:
            break
        frames.append((data[at] & 0x0F, data[begin : begin + size]))
        at = begin + size
    return frames, data[at:]


def request(frame_id: str, method: str, params: dict[str, Any]) -> bytes:
    return masked(orjson.dumps({"type": "req", "id": frame_id, "method": method, "params": params}))


def open_socket(port: int) -> tuple[socket.socket, bytes]:
    """A connection that has been let in, and what has come of the next frame."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.sendall(UPGRADE)
        rest = _await_upgrade(sock)
        sock.sendall(request("connect", "connect", CONNECT))
        return sock, _await_hello(sock, rest)
    except BaseException:
        sock.close()
        raise


def _await_upgrade(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(sock, data)
    head, _, rest = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise OSError(data[:300].decode("latin-1"))
    return rest


def _await_hello(sock: socket.socket, rest: bytes) -> bytes:
    while True:
        frames, rest = split(rest)
        for opcode, payload in frames:
            if opcode == TEXT and b'"hello-ok"' in payload:
                return rest
            if opcode == CLOSE or b'"ok":false' in payload:
                raise OSError(payload[:300].decode("latin-1"))
        rest += _some(sock, rest)


def _some(sock: socket.socket, so_far: bytes) -> bytes:
    data = sock.recv(READ_SIZE)
    if not data:
        raise OSError(f"closed in the handshake: {so_far[:300]!r}")
    return data
