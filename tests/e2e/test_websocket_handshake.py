"""The Gateway protocol: how a connection begins, and how it is refused."""

from __future__ import annotations

import json
import re
import socket
import time
from contextlib import ExitStack
from typing import Any

import pytest

from app.client.errors import ConnectionLost, UpgradeRefused
from app.client.websocket import Closed
from tests.e2e.conftest import StartGateway
from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.operator import Operator, connect_params, operator
from tests.support.provider import ScriptedProvider, wait_until

CLIENT = {"id": "cli", "version": "1", "platform": "x", "mode": "cli"}


@pytest.mark.parametrize("path", ["/", "/ws", "/any/where?x=1", "/health", "/v1/chat/completions"])
def test_any_path_upgrades_and_begins_with_a_challenge(gateway: GatewayProcess, path: str) -> None:
    with Operator(gateway, path) as client:
        challenge = client.receive()
        assert challenge["event"] == "connect.challenge"
        assert "seq" not in challenge
        assert challenge["payload"]["nonce"]
        assert isinstance(challenge["payload"]["ts"], int)
        assert client.socket.extensions == []


def test_hello(gateway: GatewayProcess) -> None:
    with Operator(gateway) as client:
        client.receive()
        hello = client.call("connect", connect_params(scopes=["operator.read"], unheard={"of": 1}))
    assert hello["type"] == "hello-ok"
    assert hello["protocol"] == 4
    assert hello["server"]["version"]
    assert hello["policy"] == {"maxPayload": 26214400, "maxBufferedBytes": 52428800, "tickIntervalMs": 30000}
    assert hello["snapshot"]["sessionDefaults"]["mainSessionKey"] == "agent:main:main"
    assert hello["auth"] == {"role": "operator", "scopes": ["operator.read"]}
    assert "deviceToken" not in json.dumps(hello)
    assert {"agent", "chat.send", "chat.history"} <= set(hello["features"]["methods"])


@pytest.mark.parametrize(("low", "high", "agreed"), [(3, 3, 3), (3, 4, 4), (4, 4, 4), (1, 9, 4), (4, 99, 4)])
def test_protocols(gateway: GatewayProcess, low: int, high: int, agreed: int) -> None:
    with Operator(gateway) as client:
        client.receive()
        assert client.call("connect", connect_params(minProtocol=low, maxProtocol=high))["protocol"] == agreed


@pytest.mark.parametrize(("low", "high"), [(1, 2), (5, 9), (4, 3)])
def test_no_common_protocol(gateway: GatewayProcess, low: int, high: int) -> None:
    with Operator(gateway) as client:
        client.receive()
        error = client.refusal("connect", connect_params(minProtocol=low, maxProtocol=high))
        assert (error["code"], error["message"]) == ("INVALID_REQUEST", "protocol mismatch")
        assert error["details"]["expectedProtocol"] == 4
        assert client.close_code() == (1002, "protocol mismatch")


@pytest.mark.parametrize("auth", [{"token": TOKEN}, {"password": TOKEN}, {"token": TOKEN, "password": TOKEN}])
def test_the_secret_in_either_field(gateway: GatewayProcess, auth: dict[str, str]) -> None:
    with Operator(gateway) as client:
        client.receive()
        device = {"id": "x", "publicKey": "y", "signature": "z", "signedAt": 1, "nonce": "n"}
        assert client.call("connect", connect_params(auth=auth, device=device))["type"] == "hello-ok"


@pytest.mark.parametrize(
    ("auth", "said", "code"),
    [
        (None, "unauthorized: gateway token missing", "AUTH_TOKEN_MISSING"),
        ({}, "unauthorized: gateway token missing", "AUTH_TOKEN_MISSING"),
        ({"token": "wrong"}, "unauthorized: gateway token mismatch", "AUTH_TOKEN_MISMATCH"),
        ({"deviceToken": TOKEN}, "unauthorized: gateway token missing", "AUTH_TOKEN_MISSING"),
    ],
)
def test_wrong_secrets(gateway: GatewayProcess, auth: Any, said: str, code: str) -> None:
    with Operator(gateway) as client:
        client.receive()
        error = client.refusal("connect", connect_params(auth=auth))
        assert error["code"] == "INVALID_REQUEST"
        assert error["message"].startswith(said)
        assert error["details"]["code"] == code
        closed, reason = client.close_code()
        assert closed == 1008
        assert reason.startswith(said)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"client": None}, "invalid connect params: at root: must have required property 'client'"),
        ({"client": {**CLIENT, "id": ""}}, "invalid connect params: at /client/id"),
        ({"minProtocol": "3"}, "invalid connect params: at /minProtocol"),
        ({"maxProtocol": 0}, "invalid connect params: at /maxProtocol"),
        ({"role": "king"}, "invalid role"),
    ],
)
def test_wrong_connects(gateway: GatewayProcess, params: dict[str, Any], said: str) -> None:
    with Operator(gateway) as client:
        client.receive()
        assert client.refusal("connect", connect_params(**params))["message"].startswith(said)
        assert client.close_code()[0] == 1008


def test_first_frames_that_are_no_connect(gateway: GatewayProcess) -> None:
    with Operator(gateway) as client:
        client.receive()
        error = client.refusal("health")
        assert error["message"] == "invalid handshake: first request must be connect"
        assert client.close_code()[0] == 1008
    with Operator(gateway) as client:
        client.receive()
        client.send({"type": "event", "event": "x"})
        assert client.close_code() == (1008, "invalid request frame")
    with Operator(gateway) as client:
        client.receive()
        client.send("no json")
        assert client.close_code()[0] == 1000


@pytest.mark.slow
def test_silence_is_ended(gateway: GatewayProcess) -> None:
    with Operator(gateway) as client:
        client.receive()
        begun = time.monotonic()
        assert client.close_code(timeout=60)[0] == 1000
        assert time.monotonic() - begun > 8


def test_strangers_may_not_say_much(gateway: GatewayProcess) -> None:
    with Operator(gateway) as client:
        client.receive()
        client.send("x" * 70_000)
        assert client.close_code()[0] == 1009


def test_frames_after_the_handshake(gateway: GatewayProcess) -> None:
    with operator(gateway) as client:
        client.send("no json")
        client.send("[]")
        assert client.receive()["id"] == "invalid"
        client.send({"type": "req", "id": "a"})
        answer = client.receive()
        assert (answer["id"], answer["error"]["code"]) == ("a", "INVALID_REQUEST")
        assert answer["error"]["message"].startswith("invalid request frame: ")
        client.send({"type": "req", "id": "b", "method": "health", "traceparent": "x", "more": 1})
        assert client.receive()["ok"]
        assert client.refusal("nothing.like.it")["message"] == "unknown method: nothing.like.it"
        again = client.refusal("connect", connect_params())
        assert again["message"] == "connect is only valid as the first request"


def test_a_node_may_connect_and_call_nothing(gateway: GatewayProcess) -> None:
    with operator(gateway, role="node") as client:
        assert client.refusal("health")["message"] == "unauthorized role: node"


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Version": ""},
        {"Sec-WebSocket-Key": ""},
        {"Sec-WebSocket-Key": "short"},
        {"Connection": "close"},
    ],
)
def test_malformed_upgrades(gateway: GatewayProcess, changes: dict[str, str]) -> None:
    answer = gateway.request("GET", "/", headers={**UPGRADE, **changes})
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "https://127.0.0.1:1",
        "http://127.0.0.1:1",
        "file://",
        "http://localhost",
    ],
)
def test_other_sites_get_no_connection(gateway: GatewayProcess, origin: str) -> None:
    answer = gateway.request("GET", "/", headers={**UPGRADE, "Origin": origin})
    assert (answer.status, answer.error["code"]) == (403, "origin_not_allowed")


def test_own_and_listed_pages_get_a_connection(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    ui = {"allowedOrigins": ["https://ui.example.org"]}
    gateway = start_gateway(config_for(provider.url, controlUi=ui))
    for origin in (f"http://127.0.0.1:{gateway.port}", "https://ui.example.org"):
        with Operator(gateway, headers={"Origin": origin}) as client:
            assert client.receive()["event"] == "connect.challenge"
    with pytest.raises(UpgradeRefused):
        Operator(gateway, headers={"Origin": "https://other.example.org"})


def test_host_names_that_are_not_ours_get_no_connection(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway(config_for(provider.url, allowedHosts=["gw.example.org"]))
    answer = gateway.request("GET", "/", headers={**UPGRADE, "Host": "evil.example"})
    assert (answer.status, answer.error["code"]) == (403, "host_not_allowed")
    with Operator(gateway, host="gw.example.org") as client:
        client.receive()


def test_scopes_only_narrow(gateway: GatewayProcess) -> None:
    with operator(gateway, scopes=["operator.read"]) as client:
        refused = client.refusal("chat.send", {"sessionKey": "x", "message": "hi", "idempotencyKey": "k"})
        assert refused["code"] == "FORBIDDEN"
        assert refused["message"] == "missing scope: operator.write"
        assert refused["details"]["missingScope"] == "operator.write"
    with operator(gateway, scopes=["operator.read"], maxProtocol=3) as client:
        refused = client.refusal("chat.send", {"sessionKey": "x", "message": "hi", "idempotencyKey": "k"})
        assert refused["code"] == "INVALID_REQUEST"


def test_a_rotated_secret_closes_connections(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    with operator(gateway) as client:
        config = config_for(provider.url)
        config["gateway"]["auth"]["token"] = "another-token-0123456789"
        gateway.write_config(config)
        assert client.close_code() == (1008, "credentials rotated")


def test_guessing_a_secret_is_limited(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url)
    config["gateway"]["auth"]["rateLimit"] = {"maxAttempts": 2, "exemptLoopback": False}
    gateway = start_gateway(config)
    codes = []
    for _ in range(3):
        with Operator(gateway) as client:
            client.receive()
            error = client.refusal("connect", connect_params(auth={"token": "wrong", "password": "wrong"}))
            codes.append(error["details"]["code"])
    assert codes == ["AUTH_TOKEN_MISMATCH", "AUTH_TOKEN_MISMATCH", "AUTH_RATE_LIMITED"]
    with operator(gateway):
        pass


def test_silent_connections_do_not_take_all_places(gateway: GatewayProcess) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(Operator(gateway)) for _ in range(32)]
        with operator(gateway) as client:
            assert client.call("health")["ok"]
            assert gateway.ask("hi").status == 200
        assert silent[0].close_code() == (1008, "too many connections")
        # The others are not in the way of anybody: they may still connect.
        silent[1].receive()
        assert silent[1].call("connect", connect_params())["type"] == "hello-ok"


def test_silent_connections_are_counted_by_the_clients_address(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    """Behind a proxy all connections come from one address; the proxy names the clients'."""
    gateway = start_gateway(config_for(provider.url, trustedProxies=["127.0.0.1"]))

    def connect(address: str) -> Operator:
        return stack.enter_context(Operator(gateway, headers={"X-Forwarded-For": address}))

    with ExitStack() as stack:
        quiet = connect("192.0.2.1")
        quiet.receive()
        attacks = [connect(f"2001:db8:0:1::{number:x}") for number in range(1, 41)]
        for dropped in attacks[:8]:
            assert dropped.close_code() == (1008, "too many connections")
        assert quiet.call("connect", connect_params())["type"] == "hello-ok"
        attacks[39].receive()
        assert attacks[39].call("connect", connect_params())["type"] == "hello-ok"


def test_a_bomb_of_a_frame(gateway: GatewayProcess) -> None:
    with operator(gateway) as client:
        piece = "x" * (1024 * 1024)
        refused = False
        for _ in range(40):
            try:
                client.socket.send(piece, final=False)
            except Closed:
                refused = True
                break
        assert refused or client.close_code()[0] == 1009
    assert gateway.request("GET", "/health").status == 200


def test_a_flood_of_mistakes(gateway: GatewayProcess) -> None:
    before = len(gateway.log)
    with operator(gateway) as client:
        for number in range(1000):
            try:
                client.send({"type": "req", "id": str(number), "method": "no.such.method"})
            except ConnectionLost:
                break
        assert client.close_code()[0] == 1008
    assert len(gateway.log) - before < 100_000


def test_connections_leave_nothing_behind(gateway: GatewayProcess) -> None:
    def tasks() -> float:
        page = gateway.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).body.decode()
        found = re.search(r"^openclaw_background_tasks (\S+)$", page, re.MULTILINE)
        assert found
        return float(found[1])

    with operator(gateway):
        pass
    base = tasks()
    for number in range(200):
        with operator(gateway) as client:
            if number % 2:
                client.socket.close(timeout=3)
    wait_until(lambda: tasks() <= base, 30, "end of all tasks")


def test_a_malformed_close_does_not_hang(gateway: GatewayProcess) -> None:
    with operator(gateway) as client:
        client.socket.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.socket.sock.close()
    assert gateway.request("GET", "/health").status == 200
