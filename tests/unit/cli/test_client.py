"""The client against gateways that behave as none should: every failure is told in words."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Pong, Request, TextMessage

from app.cli.client import GatewayClient
from app.cli.errors import CannotConnect, ConnectionLost, NoAnswer, NotLetIn, ProtocolMismatch, Refused
from app.cli.target import Target

HELLO = {"type": "hello-ok", "protocol": 4, "policy": {"tickIntervalMs": 30000}}
AUTH = {"token": "a-secret"}


class Side:
    """The gateway's side of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.ws = WSConnection(ConnectionType.SERVER)
        self.events: list[Event] = []
        assert isinstance(self.next(), Request)

    def upgrade(self, *payloads: Any) -> None:
        """Says yes; what is given comes in the same piece as the answer."""
        data = self.ws.send(AcceptConnection())
        self.sock.sendall(data + b"".join(self.ws.send(TextMessage(json.dumps(one))) for one in payloads))

    def next(self) -> Event:
        while not self.events:
            self.ws.receive_data(self.sock.recv(65536) or None)
            self.events = list(self.ws.events())
        return self.events.pop(0)

    def request(self) -> Any:
        text = ""
        while True:
            event = self.next()
            assert isinstance(event, TextMessage), event
            text += event.data
            if event.message_finished:
                return json.loads(text)

    def send(self, frame: Any) -> None:
        self.sock.sendall(self.ws.send(TextMessage(frame if isinstance(frame, str) else json.dumps(frame))))

    def respond(self, payload: Any) -> Any:
        request = self.request()
        self.send({"type": "res", "id": request["id"], "ok": True, "payload": payload})
        return request

    def refuse(self, message: str, code: str = "INVALID_REQUEST", **more: Any) -> None:
        frame = {"type": "res", "id": self.request()["id"], "ok": False}
        self.send({**frame, "error": {"code": code, "message": message, **more}})

    def welcome(self) -> Any:
        self.upgrade()
        return self.respond(HELLO)

    def close(self, code: int, reason: str) -> None:
        self.sock.sendall(self.ws.send(CloseConnection(code, reason)))


Play = Callable[[Side], object]


@pytest.fixture
def serve() -> Iterator[Callable[..., Target]]:
    """Plays the gateway to one connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def play(script: Play) -> None:
        sock, _ = listener.accept()
        with sock:
            script(Side(sock))
            sock.settimeout(5)
            try:
                while sock.recv(65536):
                    pass
            except OSError:
                pass

    def start(script: Play, auth: Any = AUTH) -> Target:
        threads.append(threading.Thread(target=play, args=(script,), daemon=True))
        threads[-1].start()
        return Target(f"ws://127.0.0.1:{listener.getsockname()[1]}/", auth, "the tests")

    yield start
    listener.close()
    for thread in threads:
        thread.join(10)


def opened(target: Target, timeout: float = 5) -> GatewayClient:
    return GatewayClient(target, ["operator.read"], timeout)


def test_connect_says_who_we_are(serve: Any):
    heard: list[Any] = []

    def play(side: Side) -> None:
        side.upgrade()
        heard.append(side.request())
        side.send({"type": "res", "id": heard[0]["id"], "ok": True, "payload": HELLO})

    with opened(serve(play)) as client:
        assert client.hello == HELLO
    params = heard[0]["params"]
    assert heard[0]["method"] == "connect"
    assert (params["minProtocol"], params["maxProtocol"]) == (3, 4)
    assert (params["client"]["id"], params["client"]["mode"]) == ("cli", "cli")
    assert (params["scopes"], params["auth"]) == (["operator.read"], AUTH)


def test_a_challenge_that_comes_with_the_upgrades_answer_is_not_lost(serve: Any):
    def play(side: Side) -> None:
        side.upgrade({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}})
        side.respond(HELLO)

    with opened(serve(play)) as client:
        assert client.hello == HELLO


def test_the_right_response_among_others_and_only_the_last_one(serve: Any):
    def play(side: Side) -> None:
        side.welcome()
        side.send({"type": "event", "event": "tick", "payload": {"ts": 1}})
        side.send("no json at all")
        side.send([])
        side.send({"type": "res", "id": "another", "ok": True, "payload": 1})
        request = side.request()
        for payload in ({"status": "accepted"}, {"status": "ok"}):
            side.send({"type": "res", "id": request["id"], "ok": True, "payload": payload})

    with opened(serve(play)) as client:
        assert client.call("agent") == {"status": "ok"}


def test_large_frames_both_ways(serve: Any):
    text = "ä" * 3_000_000

    def play(side: Side) -> None:
        side.welcome()
        request = side.request()
        side.send({"type": "res", "id": request["id"], "ok": True, "payload": request["params"]})

    with opened(serve(play)) as client:
        assert client.call("echo", {"text": text}) == {"text": text}


def test_pings_are_answered(serve: Any):
    heard: list[Event] = []

    def play(side: Side) -> None:
        side.welcome()
        side.sock.sendall(side.ws.send(Ping(b"still there?")))
        heard.append(side.next())

    with opened(serve(play)) as client:
        client.pause(0.3)
    assert heard == [Pong(payload=bytearray(b"still there?"))]


@pytest.mark.parametrize(
    ("code", "exit_code"), [("INVALID_REQUEST", 2), ("FORBIDDEN", 2), ("UNAVAILABLE", 75), ("WHATEVER", 75)]
)
def test_a_refusal(serve: Any, code: str, exit_code: int):
    def play(side: Side) -> None:
        side.welcome()
        side.refuse("not like this", code)

    with opened(serve(play)) as client, pytest.raises(Refused) as caught:
        client.call("x")
    assert (caught.value.message, caught.value.code, caught.value.exit_code) == (
        "not like this",
        code,
        exit_code,
    )


@pytest.mark.parametrize(("retryable", "exit_code"), [(False, 1), (True, 75)])
def test_a_failed_run(serve: Any, retryable: bool, exit_code: int):
    def play(side: Side) -> None:
        side.welcome()
        error = {"code": "UNAVAILABLE", "message": "The provider failed.", "retryable": retryable}
        frame = {"type": "res", "id": side.request()["id"], "ok": False, "error": error}
        side.send({**frame, "payload": {"status": "error"}})

    with opened(serve(play)) as client, pytest.raises(Refused) as caught:
        client.call("agent")
    assert caught.value.exit_code == exit_code


@pytest.mark.parametrize(
    ("auth", "words"), [(AUTH, "does not take the secret from the tests"), ({}, "wants a secret")]
)
def test_not_let_in(serve: Any, auth: Any, words: str):
    def play(side: Side) -> None:
        side.upgrade()
        details = {"code": "AUTH_TOKEN_MISMATCH"}
        side.refuse("unauthorized: gateway token mismatch (set this)", details=details)
        side.close(1008, "unauthorized")

    with pytest.raises(NotLetIn) as caught:
        opened(serve(play, auth))
    assert words in caught.value.message
    assert "gateway.remote" in caught.value.message
    assert "a-secret" not in caught.value.message
    assert caught.value.exit_code == 78


def test_too_many_attempts_is_a_matter_of_time(serve: Any):
    def play(side: Side) -> None:
        side.upgrade()
        side.refuse("unauthorized: too many", "UNAVAILABLE", details={"code": "AUTH_RATE_LIMITED"})

    with pytest.raises(Refused) as caught:
        opened(serve(play))
    assert caught.value.exit_code == 75


def test_another_protocol(serve: Any):
    def play(side: Side) -> None:
        side.upgrade()
        side.refuse("protocol mismatch", details={"code": "PROTOCOL_MISMATCH", "expectedProtocol": 9})
        side.close(1002, "protocol mismatch")

    with pytest.raises(ProtocolMismatch) as caught:
        opened(serve(play))
    assert "3 to 4" in caught.value.message


def test_nobody_there(serve: Any):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CannotConnect) as caught:
        opened(Target(f"ws://127.0.0.1:{port}/"))
    message = caught.value.message
    assert f"ws://127.0.0.1:{port}/" in message
    assert "bin/serve" in message
    assert "--local" in message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nhi", "HTTP 404"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200"),
        (
            b"HTTP/1.1 403 No\r\nContent-Length: 37\r\n\r\n" + b'{"error":{"message":"Not this name"}}',
            "HTTP 403: Not this name",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "No gateway answers"),
        (b"", "No gateway answers"),
    ],
)
def test_something_else_there(serve: Any, answer: bytes, words: str):
    def play(side: Side) -> None:
        side.sock.sendall(answer)
        side.sock.shutdown(socket.SHUT_WR)

    with pytest.raises(CannotConnect) as caught:
        opened(serve(play))
    assert words in caught.value.message


def test_nobody_answers_the_upgrade(serve: Any):
    start = time.monotonic()
    with pytest.raises(CannotConnect):
        opened(serve(lambda side: None), timeout=0.3)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("script", [lambda side: side.upgrade(), lambda side: side.welcome()])
def test_no_answer(serve: Any, script: Play):
    with pytest.raises(NoAnswer) as caught, opened(serve(script), timeout=0.3) as client:
        client.call("health", timeout=0.3)
    assert "within 0.3 s" in caught.value.message


def test_a_gateway_that_closes(serve: Any):
    def play(side: Side) -> None:
        side.welcome()
        side.close(1012, "service restart")

    with opened(serve(play)) as client, pytest.raises(ConnectionLost) as caught:
        client.call("health")
    assert "1012 service restart" in caught.value.message


def test_a_gateway_that_drops_the_connection(serve: Any):
    def play(side: Side) -> None:
        side.welcome()
        side.sock.shutdown(socket.SHUT_RDWR)

    with opened(serve(play)) as client, pytest.raises(ConnectionLost):
        client.call("health")


def test_a_gateway_that_falls_silent(serve: Any):
    def play(side: Side) -> None:
        side.upgrade()
        side.respond({**HELLO, "policy": {"tickIntervalMs": 100}})

    with opened(serve(play)) as client, pytest.raises(ConnectionLost) as caught:
        client.call("agent", timeout=None)
    assert "silent" in caught.value.message
