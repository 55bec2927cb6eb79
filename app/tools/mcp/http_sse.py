"""A server that is reached by HTTP with the older transport of MCP: a stream of events that we GET, whose
first one says where messages are to be POSTed.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from urllib.parse import urljoin

from app.concurrency.background import spawn
from app.config.tool_settings import McpServerSettings
from app.providers.http.proxy import Origin
from app.tools.mcp.connection import Connection
from app.tools.mcp.endpoint import Endpoint, as_mcp_error
from app.tools.mcp.http import EVENTS, FAILURES, LISTEN_SECONDS
from app.tools.mcp.peer import Peer
from app.tools.mcp.protocol import McpError, ServerUnavailable
from app.tools.mcp.sse import SseReader

MAX_URL = 4000  # characters of the address that messages go to


class SseChannel:
    def __init__(self, settings: McpServerSettings) -> None:
        self._stream = Endpoint(settings)
        self._messages = Endpoint(settings)
        self._revision: str | None = None
        self._peer: Peer | None = None
        self._connection: Connection | None = None
        self._opened = threading.Event()
        self._closed = False
        self._failure: McpError | None = None

    def open(self, peer: Peer, seconds: float) -> None:
        self._peer = peer
        spawn(self._listen, seconds)
        if not self._opened.wait(seconds):
            raise ServerUnavailable(f"it did not begin its stream of events within {seconds:g} s")
        if self._failure is not None:
            raise self._failure

    def send(self, message: bytes, request_id: int | None = None, seconds: float = 60.0) -> None:
        spawn(self._try_to_post, message, request_id, seconds)

    def send_first(self, message: bytes, seconds: float) -> None:
        try:
            self._post(message, seconds)
        except FAILURES as error:
            raise as_mcp_error(error) from None

    def forget(self, request_id: int) -> None:
        """Its answer is ignored when it comes."""

    def agreed(self, revision: str) -> None:
        self._revision = revision

    def close(self) -> None:
        self._closed = True
        if self._connection is not None:
            self._connection.abort()
        self._messages.connector.close()
        self._stream.connector.close()

    def _try_to_post(self, message: bytes, request_id: int | None, seconds: float) -> None:
        assert self._peer is not None
        try:
            self._post(message, seconds)
        except FAILURES as error:
            self._peer.fail(request_id, as_mcp_error(error))

    def _post(self, message: bytes, seconds: float) -> None:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._revision is not None:
            headers["MCP-Protocol-Version"] = self._revision
        with self._messages.ask("POST", headers, message, seconds) as exchange:
            exchange.read_all()

    def _listen(self, seconds: float) -> None:
        assert self._peer is not None
        why: McpError = ServerUnavailable("it has ended its stream of events")
        try:
            with self._stream.ask("GET", {"Accept": EVENTS}, None, seconds, fresh=True) as exchange:
                self._connection = exchange.connection
                if exchange.kind != EVENTS:
                    raise McpError("it does not answer with a stream of events")
                reader = SseReader()
                while not self._closed and (piece := exchange.read_some()):
                    for event in reader.feed(piece):
                        self._take(event.name, event.data)
                    if self._opened.is_set():
                        exchange.connection.deadline = time.monotonic() + LISTEN_SECONDS
        except FAILURES as error:
            why = as_mcp_error(error)
        self._failure = why if isinstance(why, ServerUnavailable) else ServerUnavailable(str(why))
        self._opened.set()
        self._peer.lost(self._failure)

    def _take(self, name: str, data: bytes) -> None:
        assert self._peer is not None
        if name == "endpoint" and not self._opened.is_set():
            self._messages.url = self._address(data)
            self._opened.set()
        elif self._opened.is_set():
            with suppress(ValueError):  # what is no JSON, such as a comment of a proxy
                self._peer.receive(data)

    def _address(self, data: bytes) -> str:
        """Where messages go: of the same origin, for our headers go there too."""
        try:
            url = urljoin(self._stream.url, data[:MAX_URL].decode("ascii").strip())
            same = url.startswith("http") and Origin.parse(url) == self._stream.connector.origin
        except ValueError:
            same = False
        if not same:
            raise ServerUnavailable("it names an address on another server to send messages to")
        return url
