"""The client against gateways that misbehave: every failure is a `ClientError` with words for people."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wsproto.events import CloseConnection, Event, Ping, Pong

from app.client.client import GatewayClient
from app.client.errors import (
    CannotConnect,
    ConnectionLost,
    NoAnswer,
    NotAuthenticated,
    ProtocolMismatch,
    RequestRefused,
    UpgradeRefused,
)
from app.client.frames import connect_params
from tests.support.fake_gateway import HELLO, FakeGateway, Play, Side
from tests.support.provider import PATIENCE

CLIENT = {"id": "test", "version": "1", "platform": "x", "mode": "cli"}
AUTH = {"token": "a-secret"}


@pytest.fixture
def serve() -> Iterator[Callable[[Play], str]]:
    """Plays the gateway to one connection; the address."""
    with FakeGateway() as gateway:
        yield gateway.play


def opened(url: str, timeout: float = PATIENCE) -> GatewayClient:
    client = GatewayClient(url, timeout)
    scopes = ["operator.read"]
    try:
        client.connect(connect_params(client=CLIENT, auth=AUTH, scopes=scopes, protocols=(3, 4)), timeout)
    except BaseException:
        client.close()
        raise
    return client


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
    assert params["client"] == CLIENT
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
        client.collect(0.3)
    assert heard == [Pong(payload=bytearray(b"still there?"))]


def test_a_refusal(serve: Any):
    def play(side: Side) -> None:
        side.welcome()
        side.refuse("not like this", "FORBIDDEN", details={"code": "MISSING_SCOPE"}, retryable=True)

    with opened(serve(play)) as client, pytest.raises(RequestRefused) as caught:
        client.call("x")
    error = caught.value
    assert (error.message, error.code, error.error_code) == ("not like this", "MISSING_SCOPE", "FORBIDDEN")
    assert (error.retryable, error.run_failed) == (True, False)


@pytest.mark.parametrize("retryable", [False, True])
def test_a_failed_run(serve: Any, retryable: bool):
    def play(side: Side) -> None:
        side.welcome()
        error = {"code": "UNAVAILABLE", "message": "The provider failed.", "retryable": retryable}
        frame = {"type": "res", "id": side.request()["id"], "ok": False, "error": error}
        side.send({**frame, "payload": {"status": "error"}})

    with opened(serve(play)) as client, pytest.raises(RequestRefused) as caught:
        client.call("agent")
    assert (caught.value.retryable, caught.value.run_failed) == (retryable, True)


def test_wrong_credentials(serve: Any):
    def play(side: Side) -> None:
        side.upgrade()
        details = {"code": "AUTH_TOKEN_MISMATCH"}
        side.refuse("unauthorized: gateway token mismatch (set this)", details=details)
        side.close(1008, "unauthorized")

    with pytest.raises(NotAuthenticated) as caught:
        opened(serve(play))
    assert caught.value.reason == "unauthorized: gateway token mismatch"
    assert "a-secret" not in caught.value.message


def test_too_many_attempts_are_another_error(serve: Any):
    def play(side: Side) -> None:
        side.upgrade()
        side.refuse("unauthorized: too many", "UNAVAILABLE", details={"code": "AUTH_RATE_LIMITED"})

    with pytest.raises(RequestRefused) as caught:
        opened(serve(play))
    assert caught.value.code == "AUTH_RATE_LIMITED"


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
        opened(f"ws://127.0.0.1:{port}/")
    assert f"ws://127.0.0.1:{port}/" in caught.value.message


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
    assert isinstance(caught.value, UpgradeRefused) == words.startswith("HTTP")


def test_nobody_answers_the_upgrade(serve: Any):
    start = time.monotonic()
    with pytest.raises(CannotConnect):
        opened(serve(lambda side: None), timeout=0.3)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("method", ["connect", "health"])
def test_no_answer(serve: Any, method: str):
    script: Play = Side.upgrade if method == "connect" else Side.welcome
    with GatewayClient(serve(script), PATIENCE) as client:
        if method != "connect":
            client.call("connect", timeout=PATIENCE)
        with pytest.raises(NoAnswer) as caught:
            client.call(method, timeout=0.3)
    assert "within 0.3 s" in caught.value.message


def test_a_gateway_that_closes(serve: Any):
    def play(side: Side) -> None:
        side.welcome()
        side.close(1012, "service restart")

    with opened(serve(play)) as client, pytest.raises(ConnectionLost) as caught:
        client.call("health")
    assert "1012 service restart" in caught.value.message
    assert (caught.value.close_code, caught.value.reason) == (1012, "service restart")


def test_the_close_code_behind_other_frames(serve: Any):
    def play(side: Side) -> None:
        side.welcome()
        side.send({"type": "event", "event": "tick", "payload": {"ts": 1}})
        side.close(1008, "slow consumer")

    with opened(serve(play)) as client:
        assert client.close_code(5) == (1008, "slow consumer")


def test_a_connection_that_stays_open_has_no_close_code(serve: Any):
    with opened(serve(lambda side: side.welcome())) as client, pytest.raises(NoAnswer):
        client.close_code(0.1)


def test_events_are_collected(serve: Any):
    events = [{"type": "event", "event": "tick", "payload": {"ts": number}} for number in range(3)]

    def play(side: Side) -> None:
        side.welcome()
        for event in events:
            side.send(event)

    with opened(serve(play)) as client:
        assert client.collect(0.3) == events


def test_the_closing_handshake_is_waited_for(serve: Any):
    heard: list[Event] = []

    def play(side: Side) -> None:
        side.welcome()
        heard.append(side.next())
        side.sock.sendall(side.ws.send(heard[0].response()))

    opened(serve(play)).close(timeout=5)
    assert isinstance(heard[0], CloseConnection)


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
