"""One client: handshake, then one request frame in, one response out, and events in between.

The reader is simple-websocket's own thread (a greenlet); this runs on the request's. Whoever sends, sends
through `BufferedSocket`, which keeps frames whole and in order.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace
from simple_websocket import ConnectionClosed, Server
from wsproto.events import Ping

from app.auth.authenticate import Caller
from app.auth.principal import Principal
from app.errors import GatewayError, InvalidRequest
from app.gateway import Gateway
from app.logs.lines import log_event
from app.ws.buffered_socket import BufferedSocket
from app.ws.call import Client
from app.ws.connections import Connections
from app.ws.dispatcher import Dispatcher
from app.ws.frames import EventFrame, InvalidFrame, RequestFrame, dump_failure, dump_success, load_frame
from app.ws.handshake import MAX_BUFFERED, MAX_PAYLOAD, ProtocolMismatch, build_hello, shake_hands

logger = logging.getLogger("app.ws")

HANDSHAKE_SECONDS = 10.0
STRANGER_PAYLOAD = 64 * 1024
MAX_REASON = 123  # bytes that fit in a close frame
MAX_WATCHED = 1000
CROWDED = 32  # requests read ahead of the one being handled
MISTAKES, MISTAKES_PER_SECOND = 200.0, 20.0
LEARNS_KEYS = 4  # from this version on, clients expect a session's canonical key, however they wrote it

NORMAL, MISMATCH, POLICY = 1000, 1002, 1008
TEXT = 0x81


class Connection:
    """A client's connection; `Peer` to the methods."""

    def __init__(
        self,
        socket: Server,
        wire: BufferedSocket,
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
        self._written: dict[str, str] = {}
        self._socket = socket
        self._wire = wire
        self._gateway = gateway
        self._caller = caller
        self._connections = connections
        self._dispatcher = dispatcher
        self._seq = 0
        self._mistakes = MISTAKES
        self._mistaken_at = time.monotonic()
        wire.on_broken = self._lost

    def welcome(self) -> bool:
        """Challenge, then `connect`. False if the client was turned away or has left."""
        challenge = {"nonce": str(uuid.uuid4()), "ts": int(time.time() * 1000)}
        self._send(EventFrame("connect.challenge", challenge).unnumbered())
        try:
            text = self._socket.receive(timeout=HANDSHAKE_SECONDS)
        except ConnectionClosed:
            return False
        if text is None:
            self._note_refusal(f"no connect within {HANDSHAKE_SECONDS:g} s")
            self.close(NORMAL, "")
            return False
        return self._connect(text)

    def serve(self) -> None:
        """Handles requests until the connection ends."""
        self._connections.add(self)
        try:
            while self._socket.connected:  # else what was read ahead of the end would still be done
                self._pace()
                self._handle(self._socket.receive())
        except ConnectionClosed:
            pass
        finally:
            self._connections.remove(self)

    def has_cap(self, cap: str) -> bool:
        return cap in self.client.caps

    def watch_session(self, key: str, written: str | None = None) -> None:
        if len(self.watched) >= MAX_WATCHED:
            self._written.pop(self.watched.pop(), None)  # nobody looks at so many; any will do
        self.watched.add(key)
        if written is not None and self.protocol < LEARNS_KEYS:
            self._written[key] = written

    def send_event(self, event: str, payload: Mapping[str, Any], *, droppable: bool = False) -> None:
        self.tell(EventFrame(event, payload), droppable=droppable)

    def tell(self, frame: EventFrame, *, droppable: bool = False) -> None:
        """Send an event, numbered. One too far behind misses what it can do without, or is closed."""
        if self._wire.queued > MAX_BUFFERED // 2 and droppable:
            return
        if self._wire.queued > MAX_BUFFERED:
            self.close(POLICY, "slow consumer")
            return
        key = frame.session_key
        written = self._written.get(key, key) if self._written else key
        if written != key:
            frame = frame.under(written)
        self._seq += 1
        self._send(frame.numbered(self._seq))

    def respond(self, frame_id: str, payload: Any) -> None:
        self._send(dump_success(frame_id, payload))

    def refuse(self, frame_id: str, error: GatewayError, payload: Any = None) -> None:
        self._send(dump_failure(frame_id, error, payload))

    def ping(self) -> None:
        """A ping, unless the one before was never answered: then the client is gone."""
        self._wire.check()
        if not self._socket.pong_received:
            self.close(POLICY, "ping timeout")
            return
        self._socket.pong_received = False
        self._put(self._socket.ws.send(Ping()))

    def close(self, code: int, reason: str) -> None:
        """Close, once all that was sent before has gone out. May be called again."""
        if not self._socket.connected:
            return
        text = reason.encode()[:MAX_REASON].decode("utf-8", "ignore")
        with suppress(OSError):
            self._socket.close(code, text or None)
        self._lost()

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
            welcome = shake_hands(frame.params, self._caller, self._gateway)
        except InvalidFrame:
            self._note_refusal("invalid request frame")
            self.close(POLICY, "invalid request frame")
            return False
        except GatewayError as error:
            self._note_refusal(error.message)
            self.refuse(frame_id, error)
            self.close(MISMATCH if isinstance(error, ProtocolMismatch) else POLICY, error.message)
            return False
        self.client = welcome.client
        self.principal = replace(welcome.principal, scopes=frozenset(welcome.scopes))
        self.protocol, self.role = welcome.protocol, welcome.role
        names = self._dispatcher.methods
        self._socket.max_message_size = MAX_PAYLOAD
        hello = build_hello(welcome, self._gateway, self.id, names, self._dispatcher.presence)
        self.respond(frame.id, hello)
        return True

    def _note_refusal(self, reason: str) -> None:
        log_event(logger, logging.INFO, "connection refused", client=self._caller.peer, reason=reason)

    def _handle(self, text: str | bytes) -> None:
        try:
            frame = load_frame(text)
        except InvalidFrame as error:
            self.refuse(error.frame_id, error)
            self._count_mistake()
            return
        if frame is not None and not self._dispatch(frame):
            self._count_mistake()

    def _dispatch(self, frame: RequestFrame) -> bool:
        return self._dispatcher.dispatch(frame, self)

    def _count_mistake(self) -> None:
        """A client that does nothing but wrong is closed before it fills the log."""
        now = time.monotonic()
        refill = (now - self._mistaken_at) * MISTAKES_PER_SECOND
        self._mistakes = min(MISTAKES, self._mistakes + refill) - 1
        self._mistaken_at = now
        if self._mistakes < 0:
            log_event(logger, logging.WARNING, "connection closed: too many failed requests", conn=self.id)
            self.close(POLICY, "too many failed requests")

    def _pace(self) -> None:
        if len(self._socket.input_buffer) > CROWDED:
            self._wire.hold()
        else:
            self._wire.go_on()

    def _send(self, payload: bytes) -> None:
        self._put(text_frame(payload))

    def _put(self, data: bytes) -> None:
        if self._socket.connected:
            try:
                self._wire.send(data)
            except OSError:
                self._lost()

    def _lost(self) -> None:
        """Wake the handler: closing alone does not."""
        self._socket.connected = False
        self._socket.event.set()


def text_frame(payload: bytes) -> bytes:
    """A whole, unmasked text frame (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((TEXT, size)) + payload
    if size < 65536:
        return bytes((TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((TEXT, 127)) + size.to_bytes(8, "big") + payload
