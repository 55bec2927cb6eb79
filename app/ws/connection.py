"""One client's connection: the handshake, then a response for each request, and events in between.

It runs on the greenlet of the HTTP request that was upgraded. simple-websocket reads on a thread of its own
(a greenlet, too) and queues messages. Everything that is sent goes through `BufferedSocket`, which keeps
frames whole and in order. What is used of simple-websocket beyond its documentation (`input_buffer`, `event`,
`pong_received`, `ws`, `max_message_size`) is proved in tests/unit/ws/test_ws_library_contracts.py.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from simple_websocket import ConnectionClosed, Server
from wsproto.events import Ping

from app.auth.authenticate import Caller
from app.auth.principal import Principal
from app.clock import now_ms
from app.concurrency.fairness import give_way
from app.errors import GatewayError, InvalidRequest
from app.gateway import Gateway
from app.logs.lines import log_event
from app.ws.answers import Answers
from app.ws.buffered_socket import BufferedSocket
from app.ws.call import Client
from app.ws.connections import Connections
from app.ws.dispatcher import Dispatcher
from app.ws.failures import FailureLimit
from app.ws.frames import (
    EventFrame,
    InvalidFrame,
    dump_failure,
    dump_success,
    load_frame,
    text_frame,
)
from app.ws.handshake import MAX_BUFFERED, MAX_PAYLOAD, ProtocolMismatch, accept_connect, build_hello
from app.ws.read_ahead import ReadAhead

logger = logging.getLogger("app.ws")

HANDSHAKE_SECONDS = 10.0
MAX_REASON = 123  # bytes that fit in a close frame
MAX_WATCHED_SESSIONS = 1000
CANONICAL_KEYS_SINCE = 4  # older clients only recognize a session's key as they wrote it themselves

NORMAL, MISMATCH, POLICY = 1000, 1002, 1008  # close codes, RFC 6455 section 7.4


class Connection:
    """A client's connection; methods see it as a `Peer`, `Connections` as a `Listener`."""

    def __init__(
        self,
        websocket: Server,
        socket: BufferedSocket,
        gateway: Gateway,
        caller: Caller,
        connections: Connections,
        dispatcher: Dispatcher,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.client = Client("", "", "", "")
        self.principal = Principal("none")
        self.role = "operator"
        self.protocol = 0
        self.connected_at = time.time()
        self.watched: set[str] = set()
        self.follows_sessions = False
        self._written: dict[str, str] = {}
        self._websocket = websocket
        self._socket = socket
        self._gateway = gateway
        self._caller = caller
        self._connections = connections
        self._dispatcher = dispatcher
        self.answers = Answers()
        self._seq = 0
        self._failures = FailureLimit()
        websocket.input_buffer = ReadAhead(socket, websocket.input_buffer)
        socket.on_broken = self._lost
        socket.on_exceeded = partial(self._refuse, "too much data before connect")

    def authenticate(self) -> bool:
        """Send the challenge and wait for `connect`. False if the client was refused or has left."""
        challenge = {"nonce": str(uuid.uuid4()), "ts": now_ms()}
        self._send(EventFrame("connect.challenge", challenge).unnumbered())
        try:
            text = self._websocket.receive(timeout=HANDSHAKE_SECONDS)
        except ConnectionClosed:
            return False
        if text is None:
            self._refuse(f"no connect within {HANDSHAKE_SECONDS:g} s", NORMAL)
            return False
        return self._connect(text)

    def serve(self) -> None:
        """Handle requests until the connection ends."""
        self._connections.add(self)
        try:
            while self._websocket.connected:  # requests read ahead of the end are not handled any more
                self._socket.wait_written()
                message = self._websocket.receive()
                give_way()
                self._handle(message)
        except ConnectionClosed:
            pass
        finally:
            self._connections.remove(self)
            self.answers.end()

    def watch_session(self, key: str, written: str | None = None) -> None:
        """See `Peer.watch_session`."""
        if len(self.watched) >= MAX_WATCHED_SESSIONS:
            self._written.pop(self.watched.pop(), None)  # no client shows so many; any one will do
        self.watched.add(key)
        if written is not None and self.protocol < CANONICAL_KEYS_SINCE:
            self._written[key] = written
        self._connections.on_interest(key)

    def send_event(self, event: str, payload: Mapping[str, Any], *, droppable: bool = False) -> None:
        self.notify(EventFrame(event, payload), droppable=droppable)

    def notify(self, frame: EventFrame, *, droppable: bool = False) -> bool:
        """Send an event with the connection's next number; False if it is not sent.

        A slow client misses droppable events; one that is much too slow is disconnected.
        """
        key = frame.session_key
        written = self._written.get(key, key) if self._written else key
        if written != key:
            frame = frame.under(written)
        data = frame.numbered(self._seq + 1)
        if droppable and self._socket.queued + len(data) > MAX_BUFFERED // 2:
            return False
        self._seq += 1
        return self._send(data)

    def respond(self, frame_id: str, payload: Any) -> None:
        """Send the successful response to the request with that id."""
        self._send(dump_success(frame_id, payload))

    def respond_error(self, frame_id: str, error: GatewayError, payload: Any = None) -> None:
        """Send the failed response to the request with that id; `payload` goes along if there is one."""
        self._send(dump_failure(frame_id, error, payload))

    def ping(self) -> None:
        """Send a ping; close the connection if the last one has not been answered. To be called regularly.

        While nothing is read because the client is slow, its answer is not read either: no ping is sent then.
        """
        self._socket.check_write_timeout()
        if self._socket.is_behind:
            return
        if not self._websocket.pong_received:
            self.close(POLICY, "ping timeout")
            return
        self._websocket.pong_received = False
        self._put(self._websocket.ws.send(Ping()))

    def close(self, code: int, reason: str) -> None:
        """Close after everything that is queued. Does nothing if the connection is closed already."""
        if not self._websocket.connected:
            return
        text = reason.encode()[:MAX_REASON].decode("utf-8", "ignore")
        with suppress(OSError):
            self._websocket.close(code, text or None)
        self._lost()

    def drop(self) -> None:
        """Close a connection that is not authenticated, to make room for another."""
        self._refuse("too many connections")
        self._socket.stop_reading()

    def _connect(self, text: str | bytes) -> bool:
        frame_id = ""
        try:
            frame = load_frame(text)
            if frame is None:
                self.close(NORMAL, "")
                return False
            frame_id = frame.id
            if frame.method != "connect":
                raise InvalidRequest("invalid handshake: first request must be connect")
            accepted = accept_connect(frame.params, self._caller, self._gateway)
        except InvalidFrame:
            self._refuse("invalid request frame")
            return False
        except GatewayError as error:
            self.respond_error(frame_id, error)
            self._refuse(error.message, MISMATCH if isinstance(error, ProtocolMismatch) else POLICY)
            return False
        self.client = accepted.client
        self.principal = accepted.principal
        self.protocol, self.role = accepted.protocol, accepted.role
        names = self._dispatcher.methods
        self._websocket.max_message_size = MAX_PAYLOAD
        self._socket.allowance = None
        presence = self._dispatcher.presence.all_soon(self.principal.owner)
        hello = build_hello(accepted, self._gateway, self.id, names, presence)
        self.respond(frame.id, hello)
        return True

    def _refuse(self, reason: str, code: int = POLICY) -> None:
        """Close a connection that is not authenticated. One that is closed normally gets no reason."""
        log_event(logger, logging.INFO, "connection refused", client=self._caller.peer, reason=reason)
        self.close(code, "" if code == NORMAL else reason)

    def _handle(self, text: str | bytes) -> None:
        try:
            frame = load_frame(text)
        except InvalidFrame as error:
            self.respond_error(error.frame_id, error)
            self._count_failure()
            return
        if frame is not None and not self._dispatcher.dispatch(frame, self):
            self._count_failure()

    def _count_failure(self) -> None:
        if not self._failures.allow():
            log_event(logger, logging.WARNING, "connection closed: too many failed requests", conn=self.id)
            self.close(POLICY, "too many failed requests")

    def _send(self, payload: bytes) -> bool:
        """Queue a frame. Closes the connection instead if the client is much too slow; False then."""
        if self._socket.queued > MAX_BUFFERED:
            self.close(POLICY, "slow consumer")
            return False
        return self._put(text_frame(payload))

    def _put(self, data: bytes) -> bool:
        if self._websocket.connected:
            try:
                self._socket.send(data)
            except OSError:
                self._lost()
        return bool(self._websocket.connected)

    def _lost(self) -> None:
        """Wake the handler, which `websocket.close` alone does not."""
        self._websocket.connected = False
        self._websocket.event.set()
        self._socket.stop_waiting()
