"""The load generator over WebSocket: `chat.send`, one after another, on many connections at once.

Every answer is checked: its run ends well, and all the model's pieces are in its text.
"""

from __future__ import annotations

import itertools
import socket
import sys
import time
from collections.abc import Callable, Iterator

from app.client.frames import (
    CLOSE,
    PING,
    PONG,
    RawFrame,
    connect_params,
    encode_frame,
    encode_request,
    split_frames,
)
from app.client.handshake import open_socket
from bench.gateway import TOKEN
from bench.generator import MARK, SEND_SECONDS, Connection, Generator, Result
from bench.loads import QUESTION

DRAIN_SECONDS = 5.0
CONNECT = connect_params(
    client={"id": "cli", "version": "1.0", "platform": sys.platform, "mode": "cli"},
    auth={"token": TOKEN},
    protocols=(3, 4),
)

Keys = Callable[[int], Iterator[str]]  # a connection's number -> the session of each of its messages


def connect(port: int) -> tuple[socket.socket, bytes]:
    """An authenticated connection, and the beginning of its next frame. Raises OSError and CannotConnect."""
    return open_socket("127.0.0.1", port, CONNECT)


class Chat(Connection):
    """One client: sends a message in its session, waits for the run's end, sends the next."""

    def __init__(self, port: int, keys: Iterator[str]) -> None:
        self.keys = keys
        self.sock, self.received = connect(port)
        self.sock.setblocking(False)
        self.sent_at = 0.0
        self.numbers = itertools.count()
        self.run_id = b""  # with its quotes, as it stands in JSON
        self.final = b""  # the last event of the run that has ended

    def ask(self) -> bool:
        key = next(self.keys, None)
        if key is None:
            return False
        run_id = f"{key}:{next(self.numbers)}"
        self.run_id, self.final = b'"%s"' % run_id.encode(), b""
        self.sent_at = time.monotonic()
        params = {"sessionKey": key, "message": QUESTION, "idempotencyKey": run_id}
        self.send(encode_request(run_id, "chat.send", params))
        return True

    def send(self, data: bytes) -> None:
        self.sock.settimeout(SEND_SECONDS)
        self.sock.sendall(data)
        self.sock.setblocking(False)

    def handle(self, frame: RawFrame) -> str:
        """What is wrong with a frame, empty if nothing is. Events of other clients' runs arrive here, too."""
        opcode, payload = frame
        if opcode == PING:
            self.send(encode_frame(payload, PONG))
        elif opcode == CLOSE:
            return f"closed: {payload!r}"
        elif self.run_id in payload:
            if b'"state":"final"' in payload:
                self.final = payload
            elif b'"ok":false' in payload or b'"state":"error"' in payload or b'"state":"aborted"' in payload:
                return payload[:300].decode("latin-1")
        return ""


class ChatGenerator(Generator):
    """Sends `chat.send` in the sessions of `keys`; each answer must have `pieces` pieces."""

    def __init__(self, port: int, keys: Keys, at_once: int, pieces: int) -> None:
        super().__init__(port, lambda _: iter(()), at_once, pieces, stream=True)
        self._connect: Callable[[int], Chat] = lambda number: Chat(port, keys(number))

    def close(self) -> None:
        """Waits for the last answers: a run goes on without its connection and would disturb what is next."""
        self.result = Result()
        for connection in self._connections.values():
            assert isinstance(connection, Chat)
            connection.keys = iter(())
        self._run(time.monotonic() + DRAIN_SECONDS)
        super().close()

    def _handle(self, connection: Connection, data: bytes, now: float) -> bool:  # noqa: ARG002
        assert isinstance(connection, Chat)
        frames, connection.received = split_frames(connection.received + data)
        for frame in frames:
            if problem := connection.handle(frame):
                self._fail(connection, problem)
                return False
        return bool(connection.final)

    def _finish(self, connection: Connection, now: float) -> None:
        assert isinstance(connection, Chat)
        pieces = connection.final.count(MARK)
        if pieces != self._pieces:
            return self._fail(connection, f"{pieces} of {self._pieces} pieces: {connection.final[:300]!r}")
        self.result.answers += 1
        self.result.pieces += pieces
        self.result.lengths.append(now - connection.sent_at)
        if not connection.ask():
            self._drop(connection)
        return None
