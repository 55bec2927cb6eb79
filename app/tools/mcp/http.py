"""A server that is reached by HTTP: the streamable HTTP transport of MCP.

Each message is a POST on a greenlet of its own; its answer is JSON or a stream of events. A stream that we
GET has what the server says by itself.
"""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import suppress
from functools import partial

from app.concurrency.background import spawn
from app.config.tool_settings import McpServerSettings
from app.tools.mcp.connection import Connection
from app.tools.mcp.endpoint import TAIL_SECONDS, BadStatus, Endpoint, Exchange, as_mcp_error
from app.tools.mcp.peer import Peer
from app.tools.mcp.protocol import McpError, ServerUnavailable
from app.tools.mcp.sse import SseReader

EVENTS = "text/event-stream"
MAX_SESSION_ID = 1000  # characters
LISTEN_SECONDS = 900.0  # without a word on the stream that we GET; then it is opened again
LISTEN_PAUSES = (1.0, 5.0, 30.0, 60.0)  # before it is opened again; the last one for ever
END_SECONDS = 2.0
TELL_SECONDS = 10.0
MAX_TELLING = 16  # notifications and answers under way; further ones are left out

FAILURES = (McpError, OSError, http.client.HTTPException, ValueError)


class SessionEnded(ServerUnavailable):
    """The server has forgotten our session, and has not done what was asked: ask again in a new one."""


class HttpChannel:
    def __init__(self, settings: McpServerSettings) -> None:
        self._endpoint = Endpoint(settings)
        self._peer: Peer | None = None
        self._session: str | None = None
        self._revision: str | None = None
        self._active: dict[int, Connection] = {}
        self._listening: Connection | None = None
        self._telling = 0
        self._closed = threading.Event()

    def open(self, peer: Peer, seconds: float) -> None:  # noqa: ARG002 - the first request connects
        self._peer = peer

    def send(self, message: bytes, request_id: int | None = None, seconds: float = 60.0) -> None:
        if request_id is not None:
            spawn(self._try_to_post, message, request_id, seconds)
        elif self._telling < MAX_TELLING:
            spawn(self._tell, message)

    def send_first(self, message: bytes, seconds: float) -> None:
        try:
            self._post(message, None, seconds)
        except FAILURES as error:
            raise as_mcp_error(error) from None
        spawn(self._listen)

    def forget(self, request_id: int) -> None:
        if (connection := self._active.pop(request_id, None)) is not None:
            connection.abort()

    def agreed(self, revision: str) -> None:
        self._revision = revision

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        for connection in (*self._active.values(), self._listening):
            if connection is not None:
                connection.abort()
        if self._session is not None:
            with suppress(*FAILURES), self._endpoint.ask("DELETE", self._headers(), None, END_SECONDS):
                pass
        self._endpoint.connector.close()

    def _headers(self, accept: str = f"application/json, {EVENTS}") -> dict[str, str]:
        headers = {"Accept": accept}
        if self._session is not None:
            headers["Mcp-Session-Id"] = self._session
        if self._revision is not None:
            headers["MCP-Protocol-Version"] = self._revision
        return headers

    def _tell(self, message: bytes) -> None:
        """Send a notification, or an answer to the server: it may ask for more of them than it takes."""
        self._telling += 1
        try:
            self._try_to_post(message, None, TELL_SECONDS)
        finally:
            self._telling -= 1

    def _try_to_post(self, message: bytes, request_id: int | None, seconds: float) -> None:
        assert self._peer is not None
        try:
            self._post(message, request_id, seconds)
        except SessionEnded as error:
            self._peer.fail(request_id, error)
            self._peer.lost(error)
        except FAILURES as error:
            self._peer.fail(request_id, as_mcp_error(error))

    def _post(self, message: bytes, request_id: int | None, seconds: float) -> None:
        headers = {**self._headers(), "Content-Type": "application/json"}
        try:
            with self._endpoint.ask(
                "POST", headers, message, seconds, on_connection=partial(self._begun, request_id)
            ) as exchange:
                if self._revision is None:
                    session = exchange.response.headers.get("Mcp-Session-Id") or ""
                    is_valid = 0 < len(session) <= MAX_SESSION_ID and session.isascii()
                    self._session = session if is_valid else self._session
                self._read(exchange, request_id)
        except BadStatus as error:
            if self._session is not None and _names_the_session(error):
                self._session = None  # there is nothing left to DELETE
                raise SessionEnded("it has ended the session") from None
            raise
        finally:
            if request_id is not None:
                self._active.pop(request_id, None)

    def _begun(self, request_id: int | None, connection: Connection) -> None:
        assert self._peer is not None
        if request_id is not None:
            if not self._peer.waits_for(request_id):
                raise McpError("nobody waits for the answer any more")
            self._active[request_id] = connection

    def _read(self, exchange: Exchange, request_id: int | None) -> None:
        assert self._peer is not None
        if exchange.kind == EVENTS:
            self._read_events(exchange, request_id)
        elif exchange.kind == "application/json":
            if body := exchange.read_all().strip():
                self._peer.receive(body)
        else:
            exchange.read_all()
        if request_id is not None and self._peer.waits_for(request_id):
            raise McpError("its answer does not answer the request")

    def _read_events(self, exchange: Exchange, request_id: int | None) -> None:
        """Read until the answer is there, and then the little that ends the stream."""
        assert self._peer is not None
        reader = SseReader()
        while piece := exchange.read_some():
            for event in reader.feed(piece):
                self._peer.receive(event.data)
            if request_id is not None and not self._peer.waits_for(request_id):
                exchange.connection.deadline = time.monotonic() + TAIL_SECONDS
                with suppress(*FAILURES):
                    exchange.read_all(0)
                return

    def _listen(self) -> None:
        """Read what the server says by itself, as long as it lets us."""
        assert self._peer is not None
        tried = 0
        while not self._closed.is_set():
            try:
                with self._endpoint.ask(
                    "GET", self._headers(EVENTS), None, END_SECONDS * 5, fresh=True
                ) as got:
                    if got.kind != EVENTS:
                        return
                    self._listening, began = got.connection, time.monotonic()
                    self._read_stream(got)
                    tried = tried if time.monotonic() - began < LISTEN_PAUSES[-1] else 0
            except BadStatus:
                return  # it has no such stream (405), or no session for it
            except McpError as error:
                if not isinstance(error, ServerUnavailable):
                    self._peer.lost(ServerUnavailable(str(error)))
                    return
            except FAILURES:
                pass
            finally:
                self._listening = None
            self._closed.wait(LISTEN_PAUSES[min(tried, len(LISTEN_PAUSES) - 1)])
            tried += 1

    def _read_stream(self, exchange: Exchange) -> None:
        assert self._peer is not None
        reader = SseReader()
        while not self._closed.is_set():
            exchange.connection.deadline = time.monotonic() + LISTEN_SECONDS
            if not (piece := exchange.read_some()):
                return
            for event in reader.feed(piece):
                self._peer.receive(event.data)


def _names_the_session(error: BadStatus) -> bool:
    """Whether the server means that it does not know our session: 404, or 400 from some servers."""
    return error.status == 404 or (error.status == 400 and "session" in str(error).lower())
