"""Upgrades to WebSocket: refused with an HTTP status, or passed on to `Connection`
(docs/websocket.md#security).

flask-sock answers the upgrade before the view is called, so whatever can be refused with a status is refused
in a `before_request` function.
"""

from __future__ import annotations

import base64
import binascii

from flask import Flask, Request, current_app
from flask_sock import Sock
from simple_websocket import Server

from app.auth.network import client_address
from app.config.settings import Settings
from app.errors import InvalidRequest
from app.exchange import current_request
from app.gateway import Gateway
from app.ws.approval_feed import ApprovalFeed
from app.ws.buffered_socket import BufferedSocket
from app.ws.connection import Connection
from app.ws.connections import RESTART, ROTATED, Connections
from app.ws.dispatcher import Dispatcher
from app.ws.feed import Feed
from app.ws.methods.table import build_table
from app.ws.presence import Presence
from app.ws.question_feed import QuestionFeed
from app.ws.session_feed import SessionFeed
from app.ws.unauthenticated import (
    MAX_UNAUTHENTICATED_BYTES,
    MAX_UNAUTHENTICATED_PAYLOAD,
    Unauthenticated,
    UnauthenticatedConnections,
)

EXTENSION = "gateway_protocol"


class ProtocolServer:
    """What all connections of an application share."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.connections = Connections()
        self.unauthenticated = UnauthenticatedConnections()
        feed = Feed(self.connections, gateway.runs)
        ApprovalFeed(self.connections, gateway.tools.approvals)
        QuestionFeed(self.connections, gateway.tools.questions)
        SessionFeed(self.connections, gateway, feed)
        gateway.on_stopping.append(self.connections.announce_stop)
        gateway.on_drained.append(self._end)
        gateway.on_settings.append(self._check_credentials)
        self._credentials = _credentials(gateway.settings)
        peers = self.connections.peers
        presence = Presence(peers, gateway.workers)
        self.dispatcher = Dispatcher(gateway, build_table(feed), peers, self.connections.audience, presence)

    def _end(self) -> None:
        self.connections.stop()
        self.connections.close_all(*RESTART)

    def _check_credentials(self, settings: Settings) -> None:
        """Close all connections when the secret or the users change: they were authenticated with the old."""
        if (credentials := _credentials(settings)) != self._credentials:
            self._credentials = credentials
            self.connections.close_all(*ROTATED)


def _credentials(settings: Settings) -> tuple[object, ...]:
    return settings.gateway.auth, settings.gateway.trusted_proxies


def register_websocket(app: Flask, gateway: Gateway) -> None:
    """Accept WebSocket upgrades on every path of `app`."""
    app.extensions[EXTENSION] = ProtocolServer(gateway)
    app.config["SOCK_SERVER_OPTIONS"] = {"max_message_size": MAX_UNAUTHENTICATED_PAYLOAD}
    sock = Sock(app)
    app.before_request(refuse_upgrade)
    app.teardown_request(forget_unauthenticated)
    sock.route("/", endpoint="websocket")(serve)
    sock.route("/<path:path>", endpoint="websocket_anywhere")(serve)
    for rule in app.url_map.iter_rules():
        if rule.websocket:
            rule.methods = None  # otherwise POST to an unknown address would be 405 instead of 404


def refuse_upgrade() -> None:
    """Refuse an upgrade that must not happen; prepare the request for one that may.

    Where it comes from has been checked before (`app/http/gate.py`). Raises InvalidRequest.
    """
    request = current_request()
    if not request.is_upgrade:
        return
    server = current_server()
    check_handshake(request)
    caller, trusted = request.caller, server.gateway.settings.gateway.trusted_proxies
    address = client_address(caller.peer, caller.header("X-Forwarded-For"), trusted)
    request.unauthenticated = server.unauthenticated.admit(address)
    # simple-websocket accepts compression if it is offered, and a small frame could become a very large one.
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    # Not in gunicorn's documentation; simple-websocket takes the socket from there.
    socket = BufferedSocket(request.environ["gunicorn.socket"], MAX_UNAUTHENTICATED_BYTES)
    request.environ["gunicorn.socket"] = socket


def check_handshake(asked: Request) -> None:
    """Raise InvalidRequest for a handshake that RFC 6455 section 4.2.1 forbids and the library fails on."""
    header = asked.headers.get
    if asked.method != "GET" or "upgrade" not in header("Connection", "").lower():
        raise InvalidRequest("A WebSocket upgrade is a GET request with `Connection: Upgrade`.")
    if header("Sec-WebSocket-Version", "").strip() != "13":
        raise InvalidRequest("A WebSocket upgrade needs `Sec-WebSocket-Version: 13`.")
    try:
        nonce = base64.b64decode(header("Sec-WebSocket-Key", ""), validate=True)
    except (binascii.Error, ValueError):
        nonce = b""
    if len(nonce) != 16:
        raise InvalidRequest("A WebSocket upgrade needs a `Sec-WebSocket-Key` of 16 bytes in base64.")


def serve(socket: Server, path: str = "") -> None:  # noqa: ARG001  # any path will do
    """Serve one connection, from its challenge to its end. flask-sock calls this view after the upgrade."""
    server = current_server()
    gateway, request = server.gateway, current_request()
    buffered: BufferedSocket = request.environ["gunicorn.socket"]
    connection = Connection(socket, buffered, gateway, request.caller, server.connections, server.dispatcher)
    entry = request.unauthenticated
    assert isinstance(entry, Unauthenticated)
    entry.on_drop = connection.drop
    try:
        is_authenticated = not entry.is_dropped and connection.authenticate()
        forget_unauthenticated()
        if is_authenticated:
            connection.serve()
    finally:
        # A message that was too large, or not finished. Garbage collection may come to the connection late.
        socket.incoming_message = None
        buffered.finish()


def forget_unauthenticated(_error: BaseException | None = None) -> None:
    """Stop counting the request's connection as one that is not authenticated. May be called again."""
    request = current_request()
    entry, request.unauthenticated = request.unauthenticated, None
    if isinstance(entry, Unauthenticated):
        current_server().unauthenticated.forget(entry)


def current_server() -> ProtocolServer:
    """The application's own."""
    server: ProtocolServer = current_app.extensions[EXTENSION]
    return server
