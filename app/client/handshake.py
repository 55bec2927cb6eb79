"""Opens an authenticated connection as a plain socket, for programs that read it with their own event loop.

Everybody else uses `app.client.client`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from app.client.errors import CannotConnect
from app.client.frames import CLOSE, TEXT, encode_request, split_frames

READ_BYTES = 64 * 1024
CONNECT_SECONDS = 10.0
_KEY = "AAAAAAAAAAAAAAAAAAAAAA=="  # any 16 bytes: a random key only guards against caching proxies


def open_socket(host: str, port: int, connect: Mapping[str, Any]) -> tuple[socket.socket, bytes]:
    """A socket on which `connect` has been accepted, and the beginning of the next frame, if any has arrived.

    Raises OSError and CannotConnect.
    """
    sock = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.sendall(_upgrade(host))
        rest = _await_upgrade(sock)
        sock.sendall(encode_request("connect", "connect", connect))
        return sock, _await_hello(sock, rest)
    except BaseException:
        sock.close()
        raise


def _upgrade(host: str) -> bytes:
    return (
        f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n\r\n"
    ).encode("ascii")


def _await_upgrade(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(sock)
    head, _, rest = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise CannotConnect(_shortened(data))
    return rest


def _await_hello(sock: socket.socket, rest: bytes) -> bytes:
    while True:
        frames, rest = split_frames(rest)
        for opcode, payload in frames:
            if opcode == TEXT and b'"hello-ok"' in payload:
                return rest
            if opcode == CLOSE or b'"ok":false' in payload:
                raise CannotConnect(_shortened(payload))
        rest += _receive(sock)


def _receive(sock: socket.socket) -> bytes:
    data = sock.recv(READ_BYTES)
    if not data:
        raise CannotConnect("The connection was closed during the handshake.")
    return data


def _shortened(data: bytes) -> str:
    return data[:300].decode("latin-1")
