"""The model behind every subject: a server on one epoll loop that has all its answers prepared.

`python -m bench.upstream PORT`. The request's model says how it answers: see `MODELS`. Each piece of a paced
answer contains the time when it was written, in microseconds of the machine's monotonic clock, so that its
reader can compute the delay.
"""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any

import orjson

from bench.processes import allow_many_files

READ_SIZE = 256 * 1024
BACKLOG = 4096
STAMP = b"@%016d"
BLANK_STAMP = STAMP % 0


@dataclass(frozen=True, slots=True)
class Model:
    """An answer of `pieces` pieces, one every `every` seconds; 0: all at once."""

    pieces: int
    every: float = 0.0


MODELS = {
    "plain": Model(1),
    "burst": Model(20),
    "paced": Model(200, 0.010),
    "slow": Model(200, 0.050),
    "reads": Model(1),
}
READS = "reads"  # calls the tool `read` first, if it is offered tools
USAGE = {"prompt_tokens": 12, "completion_tokens": 20, "total_tokens": 32}
NAMES = {"id": "chatcmpl-benchmark-0000000000", "created": 1700000000, "model": "benchmark"}


def _chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {**NAMES, "object": "chat.completion.chunk", "choices": choices, **more}
    return _http_chunk(b"data: " + orjson.dumps(chunk) + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _choice(delta: dict[str, str], finish: str | None = None) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]


BEGIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunk(
    _choice({"role": "assistant", "content": ""})
)
PIECE = _chunk(_choice({"content": BLANK_STAMP.decode()}))
PIECE_HEAD, PIECE_TAIL = PIECE.split(BLANK_STAMP)
END = _chunk(_choice({}, "stop")) + _chunk([], usage=USAGE) + _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


_READ = {"name": "read", "arguments": '{"path": "note.txt"}'}
_CALL = {"index": 0, "id": "call_benchmark", "type": "function", "function": _READ}
CALL_OF_READ = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + _chunk([{"index": 0, "delta": {"role": "assistant", "content": None, "tool_calls": [_CALL]}}])
    + _chunk(_choice({}, "tool_calls"))
    + _chunk([], usage=USAGE)
    + _http_chunk(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)


def _complete_answer(model: Model) -> bytes:
    message = {"role": "assistant", "content": BLANK_STAMP.decode() * model.pieces}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = orjson.dumps({**NAMES, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    ) + body


COMPLETE = {name: _complete_answer(model) for name, model in MODELS.items()}
UNPACED = {name: BEGIN + PIECE * model.pieces + END for name, model in MODELS.items() if not model.every}
HEALTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Client:
    """One connection: what has arrived of a request, and the paced answer that is being sent."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.left = 0
        self.every = 0.0

    def request(self) -> tuple[bytes, bytes] | None:
        """Head and body of the next request; None until it is complete."""
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return None
        _, _, value = head.lower().partition(b"content-length:")
        length = int(value.partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return None
        self.received = body[length:]
        return head, body[:length]

    def send(self, data: bytes) -> None:
        """Sends all of it, and blocks if the reader is slow; none is in these measurements."""
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.sock.settimeout(10)
            self.sock.sendall(data[sent:])
            self.sock.setblocking(False)


class Upstream:
    """The server: one epoll loop, and the paced pieces in a heap by the time they are due."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        self._listener.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._clients: dict[int, Client] = {}
        self._due: list[tuple[float, int, Client]] = []
        self._numbers = itertools.count()  # of pieces due at the same moment, the earlier answer's goes first

    def serve(self) -> None:
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else -1
            for fd, _ in self._poll.poll(wait):
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    self._read(fd)
            self._send_due()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients[sock.fileno()] = Client(sock)
            self._poll.register(sock, select.EPOLLIN)

    def _read(self, fd: int) -> None:
        client = self._clients[fd]
        try:
            data = client.sock.recv(READ_SIZE)
            client.received += data
            if not data:
                return self._drop(fd)
            while (request := client.request()) is not None:
                self._answer(client, *request)
        except OSError:
            self._drop(fd)
        return None

    def _answer(self, client: Client, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            return client.send(HEALTH)
        wanted = orjson.loads(body)
        name = wanted["model"].rpartition("/")[2]
        if not wanted.get("stream"):
            return client.send(COMPLETE[name])
        if name == READS and "tools" in wanted and wanted["messages"][-1]["role"] != "tool":
            return client.send(CALL_OF_READ)
        if name in UNPACED:
            return client.send(UNPACED[name])
        model = MODELS[name]
        client.send(BEGIN)
        client.left, client.every = model.pieces, model.every
        heapq.heappush(self._due, (time.monotonic(), next(self._numbers), client))
        return None

    def _send_due(self) -> None:
        due = self._due
        while due and due[0][0] <= (now := time.monotonic()):
            at, number, client = due[0]
            fd = client.sock.fileno()
            if fd < 0:
                heapq.heappop(due)
                continue
            client.left -= 1
            piece = PIECE_HEAD + STAMP % (now * 1_000_000) + PIECE_TAIL
            try:
                if client.left:
                    client.send(piece)
                    heapq.heapreplace(due, (at + client.every, number, client))
                else:
                    heapq.heappop(due)
                    client.send(piece + END)
            except OSError:
                self._drop(fd)

    def _drop(self, fd: int) -> None:
        client = self._clients.pop(fd, None)
        if client is not None:
            self._poll.unregister(fd)
            client.sock.close()


def main() -> None:
    allow_many_files()
    Upstream(int(sys.argv[1])).serve()


if __name__ == "__main__":
    main()
