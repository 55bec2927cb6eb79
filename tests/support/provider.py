"""A model provider for tests: a real HTTP server on loopback that plays scripts and remembers its requests.

A script is a list of steps made by the functions below. Each request takes the next script of its model's
queue (`plays`), or the standing one (`always`), or an echo of the last user message.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Step = tuple[str, Any]

# Seconds to wait for what should come at once: a busy machine may take long, and a fault would be for ever.
PATIENCE = 30.0


def text(piece: str) -> Step:
    return ("delta", {"content": piece})


def reasoning(piece: str) -> Step:
    return ("delta", {"reasoning_content": piece})


def tool_call(
    index: int = 0, call_id: str | None = None, name: str | None = None, arguments: str = ""
) -> Step:
    call: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if call_id is not None:
        call |= {"id": call_id, "type": "function"}
    if name is not None:
        call["function"]["name"] = name
    return ("delta", {"tool_calls": [call]})


def pause(seconds: float) -> Step:
    return ("pause", seconds)


def wait_for(event: threading.Event) -> Step:
    """Say nothing until the test sets the event (at most a minute)."""
    return ("wait_for", event)


def finish(reason: str = "stop") -> Step:
    return ("finish", reason)


def usage(prompt: int, completion: int) -> Step:
    return ("usage", {"prompt_tokens": prompt, "completion_tokens": completion})


def done() -> Step:
    return ("raw", b"data: [DONE]\n\n")


def raw(data: bytes) -> Step:
    """Bytes of the stream, sent as they are."""
    return ("raw", data)


def cut() -> Step:
    """Close the connection in the middle of the answer."""
    return ("cut", None)


def hang() -> Step:
    """Send nothing more until the client closes the connection."""
    return ("hang", None)


def respond(status: int, body: bytes | dict[str, Any], **headers: str) -> Step:
    """A whole answer instead of a stream. Header names are written with underscores."""
    return ("respond", (status, body, headers))


def says(*pieces: str, prompt: int = 7, completion: int | None = None) -> list[Step]:
    """An ordinary answer."""
    return [*map(text, pieces), finish(), usage(prompt, completion or len(pieces)), done()]


class _Counts:
    """Each request has a thread of its own."""

    def __init__(self) -> None:
        self.left = 0
        self.open = 0
        self._lock = threading.Lock()

    def add(self, open: int = 0, left: int = 0) -> None:  # noqa: A002
        with self._lock:
            self.open += open
            self.left += left


class ScriptedProvider:
    """Start with `with`; `url` is the base URL for a configuration."""

    def __init__(self, certificate: Path | None = None) -> None:
        """`certificate` is a file with key and certificate, for TLS."""
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.header_names: list[list[str]] = []  # in lower case, as often as they were sent
        self._counts = _Counts()
        self._queues: dict[str, deque[list[Step]]] = defaultdict(deque)
        self._standing: dict[str, list[Step]] = {}
        self._asked: dict[str, threading.Event] = defaultdict(threading.Event)
        self._lock = threading.Lock()
        self._server = _Server(self)
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_port
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> ScriptedProvider:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def plays(self, *scripts: Iterable[Step], model: str = "test") -> None:
        for script in scripts:
            self._queues[model].append(list(script))

    def always(self, script: Iterable[Step], model: str = "test") -> None:
        self._standing[model] = list(script)

    def reset(self) -> None:
        with self._lock:
            self.requests.clear()
            self.headers.clear()
            self.header_names.clear()
            self.paths.clear()
            self._queues.clear()
            self._standing.clear()
            self._asked.clear()
            self._counts = _Counts()

    def asked(self, model: str) -> threading.Event:
        """Set as soon as that model has had a request since the last `reset`."""
        with self._lock:
            return self._asked[model]

    def messages(self, number: int = -1) -> list[tuple[str, Any]]:
        """(role, content) of each message of one request."""
        return [(one["role"], one["content"]) for one in self.requests[number]["messages"]]

    def wait_for_requests(self, count: int, seconds: float = PATIENCE) -> None:
        wait_until(lambda: len(self.requests) >= count, seconds, f"{count} requests")

    def wait_for_leaving(self, count: int = 1, seconds: float = PATIENCE) -> None:
        wait_until(lambda: self.left >= count, seconds, f"{count} closed connections")

    @property
    def left(self) -> int:
        """How often since `reset` the client closed its connection before the answer had ended."""
        return self._counts.left

    @property
    def open(self) -> int:
        """Answers under way, to requests since `reset`."""
        return self._counts.open

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count an answer, also if the client leaves. What ends after a `reset` is of no interest then."""
        counts = self._counts
        counts.add(open=1)
        try:
            yield
        except (BrokenPipeError, ConnectionResetError):
            counts.add(left=1)
            raise
        finally:
            counts.add(open=-1)

    def script_for(self, body: dict[str, Any], headers: dict[str, str]) -> list[Step]:
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            model = str(body.get("model"))
            self._asked[model].set()
            if self._queues[model]:
                return self._queues[model].popleft()
            if model in self._standing:
                return self._standing[model]
        last = next((one["content"] for one in reversed(body["messages"]) if one["role"] == "user"), "")
        return says("echo: ", str(last))


def wait_until(condition: Any, seconds: float, what: str) -> None:
    """Wait until `condition()` is true. `what` names it in the failure after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.01)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, provider: ScriptedProvider) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = provider


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    server: _Server

    def do_POST(self) -> None:
        provider = self.server.provider
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        provider.paths.append(self.path)
        provider.header_names.append([name.lower() for name in self.headers])
        try:
            with provider.answering():
                self._play(provider.script_for(body, headers), body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _play(self, script: list[Step], body: dict[str, Any]) -> None:
        if script and script[0][0] == "respond":
            return self._respond(*script[0][1])
        began = False
        for kind, value in script:
            if kind in ("pause", "hang"):
                self._wait(value)
                continue
            if kind == "wait_for":
                value.wait(60)
                continue
            if kind == "cut":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return None
            if not began:
                began = True
                self._begin()
            self._send(kind, value, body)
        if not began:
            self._begin()
        self.wfile.write(b"0\r\n\r\n")
        return None

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _send(self, kind: str, value: Any, body: dict[str, Any]) -> None:
        if kind == "raw":
            data = value
        else:
            chunk: dict[str, Any] = {"id": "x", "object": "chat.completion.chunk", "model": body["model"]}
            if kind == "usage":
                total = value["prompt_tokens"] + value["completion_tokens"]
                chunk |= {"choices": [], "usage": {**value, "total_tokens": total}}
            else:
                delta = value if kind == "delta" else {}
                reason = value if kind == "finish" else None
                chunk["choices"] = [{"index": 0, "delta": delta, "finish_reason": reason}]
            data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _wait(self, seconds: float | None) -> None:
        """Pause, without end if `seconds` is None. Raises when the client closes the connection."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if poll.poll(None if seconds is None else seconds * 1000):
            raise ConnectionResetError

    def _respond(self, status: int, body: bytes | dict[str, Any], headers: dict[str, str]) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        self.send_header("Content-Type", given.pop("content-type", "application/json"))
        for name, value in given.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
