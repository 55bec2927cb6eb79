"""The load generator over WebSocket: `chat.send`, again and again, on so many connections.

Every answer is checked: that its run ends well, and that all the model's pieces are in its text.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

from bench.frames import CLOSE, PING, PONG, masked, open_socket, request, split
from bench.generator import GIVE_UP_SECONDS, MARK, Connection, Generator, Result
from bench.loads import QUESTION

LAST_SECONDS = 5.0

Keys = Callable[[int], Iterator[str]]  # of a connection's number: the session of each message


class Chat(Connection):
    """One client: says something in its session, waits for the run's end, says the next."""

    def __init__(self, port: int, keys: Iterator[str]) -> None:
        self.keys = keys
        self.sock, self.received = open_socket(port)
        self.sock.setblocking(False)
        self.asked_at = 0.0
        self.turn = itertools.count()
        self.run = b""
        self.said = b""  # the last event of the run that has ended

    def ask(self) -> bool:
        key = next(self.keys, None)
        if key is None:
            return False
        run = f"{key}:{next(self.turn)}"
        self.run, self.said = b'"%s"' % run.encode(), b""
        self.asked_at = time.monotonic()
        params = {"sessionKey": key, "message": QUESTION, "idempotencyKey": run}
        self.send(request(run, "chat.send", params))
        return True

    def send(self, data: bytes) -> None:
        self.sock.settimeout(GIVE_UP_SECONDS)
        self.sock.sendall(data)
        self.sock.setblocking(False)

    def judge(self, opcode: int, payload: bytes) -> str:
        """What is wrong with a frame that came, if anything. Other clients' runs are told here too."""
        if opcode == PING:
            self.send(masked(payload, PONG))
        elif opcode == CLOSE:
            return f"closed: {payload!r}"
        elif self.run in payload:
            if b'"state":"final"' in payload:
                self.said = payload
            elif b'"ok":false' in payload or b'"state":"error"' in payload or b'"state":"aborted"' in payload:
                return payload[:300].decode("latin-1")
        return ""


class ChatGenerator(Generator):
    """`keys` instead of requests: the session of each message; `pieces` is what each answer must have."""

    def __init__(self, port: int, keys: Keys, at_once: int, pieces: int) -> None:
        super().__init__(port, lambda _: iter(()), at_once, pieces, stream=True)
        self._connect: Callable[[int], Chat] = lambda number: Chat(port, keys(number))

    def close(self) -> None:
        """The last answers are waited for: a run goes on without its connection, beside what comes next."""
        self.result = Result()
        for connection in self._connections.values():
            assert isinstance(connection, Chat)
            connection.keys = iter(())
        self._go(time.monotonic() + LAST_SECONDS)
        super().close()

    def _take(self, connection: Connection, data: bytes, now: float) -> bool:  # noqa: ARG002
        assert isinstance(connection, Chat)
        frames, connection.received = split(connection.received + data)
        for frame in frames:
            if problem := connection.judge(*frame):
                self._fail(connection, problem)
                return False
        return bool(connection.said)

    def _finish(self, connection: Connection, now: float) -> None:
        assert isinstance(connection, Chat)
        pieces = connection.said.count(MARK)
        if pieces != self._pieces:
            return self._fail(connection, f"{pieces} of {self._pieces} pieces: {connection.said[:300]!r}")
        self.result.answers += 1
        self.result.pieces += pieces
        self.result.lengths.append(now - connection.asked_at)
        if not connection.ask():
            self._drop(connection)
        return None
