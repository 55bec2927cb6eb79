"""The load generator: many connections on one epoll loop, each sending its next request after each answer.

Every answer is checked: its status, its end, and that it has all its pieces.
"""

from __future__ import annotations

import math
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

READ_SIZE = 256 * 1024
MARK = b"@0"  # every piece of an answer begins with it
STAMP = re.compile(rb"@(\d{16})")
STAMP_WIDTH = 17
STREAM_END = b"\r\n0\r\n\r\n"  # with the chunk's own line end: a header may end with a zero, too
SEND_SECONDS = 60.0
MAX_ERRORS = 20

Requests = Callable[[int], Iterator[bytes]]  # a connection's number -> its requests


@dataclass(slots=True)
class Result:
    """`first` and `delays` are milliseconds, of paced answers only: from the request to the first piece, and
    from the model's writing a piece to its being read here. `lengths` of answers are seconds.
    """

    seconds: float = 0.0
    answers: int = 0
    pieces: int = 0
    cpu_seconds: float = 0.0
    first: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Connection:
    """One client over HTTP: its socket, and what has arrived of the current answer."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.requests = requests
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.sent_at = 0.0
        self.received = b""
        self.pieces = 0
        self.rest = b""  # the beginning of a stamp that was cut in two
        self.tail = b""

    def ask(self) -> bool:
        """Sends the next request; False if there is none."""
        request = next(self.requests, None)
        if request is None:
            return False
        self.received = self.rest = self.tail = b""
        self.pieces = 0
        self.sent_at = time.monotonic()
        if (sent := self.sock.send(request)) < len(request):
            self.sock.settimeout(SEND_SECONDS)
            self.sock.sendall(request[sent:])
            self.sock.setblocking(False)
        return True


class Generator:
    """Each answer must have `pieces` pieces. With `paced`, each piece contains the time of its writing."""

    def __init__(
        self, port: int, requests: Requests, at_once: int, pieces: int, *, stream: bool, paced: bool = False
    ) -> None:
        self._connect = lambda number: Connection(port, requests(number))
        self._pieces, self._stream, self._paced = pieces, stream, paced
        self._poll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._waiting = list(range(at_once))
        self.result = Result()

    def warm_up(self, seconds: float, ramp: float = 0.0) -> None:
        """Connects, spread over `ramp` seconds, and runs for `seconds` more. Only its errors are kept."""
        self._run(time.monotonic() + ramp + seconds, ramp)
        failed = self.result.errors
        self.result = Result(errors=failed)

    def measure(self, seconds: float) -> Result:
        """Runs for so many seconds; the result of these alone."""
        begin, cpu = time.monotonic(), time.process_time()
        self._run(begin + seconds)
        self.result.seconds = time.monotonic() - begin
        self.result.cpu_seconds = time.process_time() - cpu
        return self.result

    def run_out(
        self, ramp: float = 0.0, every_second: Callable[[], object] = lambda: None, at_most: float = math.inf
    ) -> Result:
        """Runs until no connection has a further request, but at most `at_most` seconds."""
        begin, cpu = time.monotonic(), time.process_time()
        self._run(begin + ramp, ramp)
        while (left := len(self._connections) + len(self._waiting)) and len(self.result.errors) < MAX_ERRORS:
            if time.monotonic() > begin + at_most:
                self.result.errors += ["not complete within the time limit"] * left
                break
            self._run(time.monotonic() + 1.0)
            every_second()
        self.result.seconds = time.monotonic() - begin
        self.result.cpu_seconds = time.process_time() - cpu
        return self.result

    def close(self) -> None:
        for connection in self._connections.values():
            connection.sock.close()
        self._poll.close()

    def _run(self, until: float, ramp: float = 0.0) -> None:
        step = ramp / max(1, len(self._waiting))
        next_start = time.monotonic()
        while (now := time.monotonic()) < until and len(self.result.errors) < MAX_ERRORS:
            while self._waiting and next_start <= now:
                self._begin(self._waiting.pop(0))
                next_start += step
            if not self._connections and not self._waiting:
                return
            wait = (next_start if self._waiting else until) - now
            for fd, _ in self._poll.poll(max(0.0, min(wait, 0.1))):
                self._read(fd)

    def _begin(self, number: int) -> None:
        connection = self._connect(number)
        self._connections[connection.sock.fileno()] = connection
        self._poll.register(connection.sock, select.EPOLLIN)
        if not connection.ask():
            self._drop(connection)

    def _read(self, fd: int) -> None:
        connection = self._connections[fd]
        try:
            data = connection.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            data, problem = b"", str(error)
        else:
            problem = "the connection was closed in the middle of an answer"
        now = time.monotonic()
        if not data:
            self._fail(connection, problem)
        elif self._handle(connection, data, now):
            self._finish(connection, now)

    def _handle(self, connection: Connection, data: bytes, now: float) -> bool:
        """Handles received bytes. Whether the answer is complete."""
        if self._paced:
            if not connection.tail and not data.startswith(b"HTTP/1.1 200"):
                self._fail(connection, data[:300].decode("latin-1"))
                return False
            self._note_stamps(connection, data, now)
            connection.tail = (connection.tail + data)[-len(STREAM_END) :]
            return connection.tail == STREAM_END
        connection.received += data
        if self._stream:
            return connection.received.endswith(STREAM_END)
        head, found, body = connection.received.partition(b"\r\n\r\n")
        if not found:
            return False
        _, _, value = head.lower().partition(b"content-length:")
        return bool(value) and len(body) >= int(value.partition(b"\r\n")[0])

    def _note_stamps(self, connection: Connection, data: bytes, now: float) -> None:
        text = connection.rest + data
        stamps = STAMP.findall(text)
        last = text.rfind(b"@")
        connection.rest = text[last:] if last > len(text) - STAMP_WIDTH else b""
        if not stamps:
            return
        if not connection.pieces:
            self.result.first.append((now - connection.sent_at) * 1000)
        connection.pieces += len(stamps)
        self.result.pieces += len(stamps)
        self.result.delays.extend([now * 1000 - int(stamp) / 1000 for stamp in stamps])

    def _finish(self, connection: Connection, now: float) -> None:
        result, answer = self.result, connection.received
        pieces = connection.pieces if self._paced else answer.count(MARK)
        if pieces != self._pieces or not (self._paced or answer.startswith(b"HTTP/1.1 200")):
            return self._fail(connection, f"{pieces} of {self._pieces} pieces: {answer[:300]!r}")
        result.answers += 1
        result.lengths.append(now - connection.sent_at)
        if not self._paced:
            result.pieces += pieces
        if not connection.ask():
            self._drop(connection)
        return None

    def _fail(self, connection: Connection, why: str) -> None:
        self.result.errors.append(why)
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        del self._connections[connection.sock.fileno()]
        self._poll.unregister(connection.sock)
        connection.sock.close()
