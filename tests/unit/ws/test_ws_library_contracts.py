"""What app/ws rests on, though the libraries do not promise it.

Proved on simple-websocket 1.1.0, wsproto 1.3.2, flask-sock 0.7.0 and gunicorn 27.0.1. If a test here fails
after an update, app/ws/connection.py, buffered_socket.py or routes.py has to change with the library.
"""

from __future__ import annotations

import inspect
import socket
import threading
from collections.abc import Iterator
from typing import Any, ClassVar, SupportsIndex

import gunicorn.http.wsgi
import pytest
from simple_websocket import ConnectionClosed, Server
from simple_websocket.ws import Base
from wsproto import ConnectionType, WSConnection
from wsproto.events import CloseConnection, Event, Ping, Pong, Request, TextMessage

from app.ws.frames import text_frame
from tests.support.provider import wait_until

SECONDS = 5.0


class Client:
    """wsproto's client on the other end of a socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.ws = WSConnection(ConnectionType.CLIENT)
        sock.settimeout(SECONDS)

    def send(self, event: Event) -> None:
        self.sock.sendall(self.ws.send(event))

    def receive(self) -> list[Event]:
        self.ws.receive_data(self.sock.recv(65536))
        return list(self.ws.events())


class RecordingSocket:
    """As `BufferedSocket` does, it stands between the library and the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.sent: list[bytes] = []
        self.closed = threading.Event()

    def send(self, data: bytes) -> int:
        self.sent.append(data)
        self._sock.sendall(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        return self._sock.recv(size)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def connected() -> Iterator[tuple[Server, Client, RecordingSocket]]:
    ours, theirs = socket.socketpair()
    client = Client(theirs)
    client.sock.sendall(client.ws.send(Request(host="x", target="/")))
    head = ours.recv(65536).decode()
    lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
    headers: dict[str, Any] = {f"HTTP_{name.upper().replace('-', '_')}": value for name, _, value in lines}
    stand_in = RecordingSocket(ours)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "x", "SERVER_PORT": "1", **headers}
    server = Server.accept({**environ, "gunicorn.socket": stand_in}, max_message_size=100)
    client.receive()
    yield server, client, stand_in
    theirs.close()
    ours.close()


def test_the_library_takes_the_socket_that_is_in_gunicorns_environment(
    connected: tuple[Server, Client, RecordingSocket],
):
    server, _, stand_in = connected
    assert server.mode == "gunicorn"
    assert server.sock is stand_in
    assert stand_in.sent[0].startswith(b"HTTP/1.1 101")
    assert '"gunicorn.socket": sock' in inspect.getsource(gunicorn.http.wsgi)


def test_received_messages_wait_in_the_input_buffer(connected: tuple[Server, Client, RecordingSocket]):
    server, client, _ = connected
    for text in ("one", "two"):
        client.send(TextMessage(text))
    wait_until(lambda: len(server.input_buffer) == 2, SECONDS, "two messages")
    assert [server.receive(), server.receive()] == ["one", "two"]
    assert server.input_buffer == []


def test_a_message_that_is_not_finished_is_kept_by_the_library(
    connected: tuple[Server, Client, RecordingSocket],
):
    server, client, _ = connected
    client.send(TextMessage("one", message_finished=False))
    wait_until(lambda: server.incoming_message == "one", SECONDS, "the fragment")
    assert server.input_buffer == []


def test_the_input_buffer_may_be_replaced_by_another_list(connected: tuple[Server, Client, RecordingSocket]):
    """It is appended to, looked at and popped from, and nothing else (app/ws/read_ahead.py)."""

    class Recording(list[str]):
        calls: ClassVar[list[str]] = []

        def append(self, text: str) -> None:
            self.calls.append("append")
            super().append(text)

        def pop(self, index: SupportsIndex = -1) -> str:
            self.calls.append(f"pop {index}")
            return super().pop(index)

    server, client, _ = connected
    server.input_buffer = Recording()
    client.send(TextMessage("one"))
    assert server.receive(timeout=SECONDS) == "one"
    assert Recording.calls == ["append", "pop 0"]
    assert inspect.getsource(Base).count(".input_buffer") == 6


def test_the_event_wakes_a_receiver_that_then_sees_the_connection_is_gone(
    connected: tuple[Server, Client, RecordingSocket],
):
    server, _, _ = connected
    ended: list[type[Exception]] = []

    def receive() -> None:
        try:
            server.receive()
        except ConnectionClosed as error:
            ended.append(type(error))

    receiver = threading.Thread(target=receive)
    receiver.start()
    server.connected = False
    server.event.set()
    receiver.join(SECONDS)
    assert ended == [ConnectionClosed]


def test_a_pong_is_noted_and_a_ping_can_be_made_without_sending_it(
    connected: tuple[Server, Client, RecordingSocket],
):
    server, client, stand_in = connected
    server.pong_received = False
    stand_in.send(server.ws.send(Ping()))
    assert [type(event) for event in client.receive()] == [Ping]
    client.send(Pong())
    wait_until(lambda: server.pong_received, SECONDS, "the pong")


def test_our_own_text_frames_may_stand_between_the_librarys(
    connected: tuple[Server, Client, RecordingSocket],
):
    server, client, stand_in = connected
    for text in ("short", "x" * 1000, "y" * 60_000):
        server.send("from the library")
        stand_in.send(text_frame(text.encode()))
        received = ""
        while not received.endswith(text):
            received += "".join(event.data for event in client.receive() if isinstance(event, TextMessage))
        assert received == "from the library" + text


def test_the_bound_of_a_message_may_be_raised_later_and_ends_the_connection(
    connected: tuple[Server, Client, RecordingSocket],
):
    server, client, stand_in = connected
    server.max_message_size = 200
    client.send(TextMessage("a" * 150))
    assert server.receive(timeout=SECONDS) == "a" * 150
    client.send(TextMessage("a" * 250))
    (closed,) = client.receive()
    assert isinstance(closed, CloseConnection)
    assert closed.code == 1009
    assert stand_in.closed.wait(SECONDS)


def test_closing_sends_a_frame_and_leaves_the_socket_open(connected: tuple[Server, Client, RecordingSocket]):
    server, client, stand_in = connected
    server.close(1008, "reason")
    (closed,) = client.receive()
    assert isinstance(closed, CloseConnection)
    assert (closed.code, closed.reason) == (1008, "reason")
    assert not server.connected
    stand_in._sock.sendall(b"")  # still open
