"""What commands that ask a gateway print when it fails them, and what they exit with."""

from __future__ import annotations

import socket
from argparse import Namespace
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import pytest

from app.cli import agent_remote
from app.cli.errors import RunOverdue, WrongUse
from app.cli.exit_codes import EXIT_INTERRUPTED, exit_code
from app.cli.remote import connect, scopes_for
from app.cli.target import Target
from app.client.client import GatewayClient
from app.client.errors import (
    CannotConnect,
    ClientError,
    ConnectionLost,
    NoAnswer,
    NotAuthenticated,
    ProtocolMismatch,
    RequestRefused,
    UpgradeRefused,
)
from tests.support.fake_gateway import FakeGateway, Side
from tests.support.provider import PATIENCE

AUTH = {"token": "a-secret"}


@pytest.fixture
def serve() -> Iterator[Callable[..., Target]]:
    """Plays the gateway to one connection."""
    with FakeGateway() as gateway:
        yield lambda script, auth=AUTH: Target(gateway.play(script), auth, "the tests")


def opened(target: Target) -> GatewayClient:
    return connect(target, ["operator.read"], PATIENCE)


def test_connect_names_the_command_line_its_scopes_and_the_secret(serve: Any):
    requests: Queue[Any] = Queue()
    with opened(serve(lambda side: requests.put(side.welcome()))):
        request = requests.get(timeout=PATIENCE)
    params = request["params"]
    assert request["method"] == "connect"
    assert (params["minProtocol"], params["maxProtocol"]) == (3, 4)
    assert (params["client"]["id"], params["client"]["mode"]) == ("cli", "cli")
    assert (params["scopes"], params["auth"]) == (["operator.read"], AUTH)


@pytest.mark.parametrize(
    ("auth", "words"), [(AUTH, "does not take the secret from the tests"), ({}, "wants a secret")]
)
def test_a_wrong_secret(serve: Any, auth: Any, words: str):
    def play(side: Side) -> None:
        side.upgrade()
        details = {"code": "AUTH_TOKEN_MISMATCH"}
        side.refuse("unauthorized: gateway token mismatch (set this)", details=details)
        side.close(1008, "unauthorized")

    with pytest.raises(NotAuthenticated) as caught:
        opened(serve(play, auth))
    assert words in caught.value.message
    assert "gateway.remote" in caught.value.message
    assert "a-secret" not in caught.value.message
    assert exit_code(caught.value) == 78


def test_too_many_attempts_are_a_matter_of_time(serve: Any):
    def play(side: Side) -> None:
        side.upgrade()
        side.refuse("unauthorized: too many", "UNAVAILABLE", details={"code": "AUTH_RATE_LIMITED"})

    with pytest.raises(RequestRefused) as caught:
        opened(serve(play))
    assert exit_code(caught.value) == 75


def test_no_gateway():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CannotConnect) as caught:
        opened(Target(f"ws://127.0.0.1:{port}/"))
    message = caught.value.message
    assert f"ws://127.0.0.1:{port}/" in message
    assert "bin/serve" in message
    assert "--local" in message


@pytest.mark.parametrize(
    ("code", "more", "exits"),
    [
        ("INVALID_REQUEST", {}, 2),
        ("FORBIDDEN", {}, 2),
        ("UNAVAILABLE", {}, 75),
        ("WHATEVER", {}, 75),
        ("UNAVAILABLE", {"run_failed": True}, 1),
        ("UNAVAILABLE", {"run_failed": True, "retryable": True}, 75),
    ],
)
def test_exit_codes_of_error_responses(code: str, more: dict[str, bool], exits: int):
    assert exit_code(RequestRefused("x", code, error_code=code, **more)) == exits
    assert exit_code(RequestRefused("x", "A_DETAIL", error_code=code, **more)) == exits


@pytest.mark.parametrize(
    ("error", "exits"),
    [
        (CannotConnect("x"), 75),
        (UpgradeRefused("x", 404), 75),
        (NoAnswer("x"), 75),
        (ConnectionLost("x"), 1),
        (ProtocolMismatch("x"), 1),
        (NotAuthenticated("x", "y"), 78),
        (RunOverdue("x"), 1),
        (WrongUse("x"), 2),
    ],
)
def test_exit_codes(error: ClientError, exits: int):
    assert exit_code(error) == exits


def test_commands_ask_for_the_least_scopes():
    assert scopes_for(["agent", "chat.abort"]) == ["operator.write"]
    assert scopes_for(["chat.history"]) == ["operator.read"]
    assert scopes_for(["method.of.others"]) == ["operator.admin"]
    assert scopes_for([]) == ["operator.read"]


def test_a_run_is_stopped_that_is_interrupted_as_soon_as_it_is_asked_for(serve: Any):
    requests: Queue[Any] = Queue()

    def play(side: Side) -> None:
        side.welcome()
        requests.put(side.respond({"status": "accepted", "sessionKey": "agent:main:notes"}))
        requests.put(side.respond({"ok": True}))

    args = Namespace(agent=None, session_key="notes", timeout=None, json=False, stream=False, quiet=True)
    with opened(serve(play)) as client:
        ask = client.request

        def ask_and_be_interrupted(method: str, *more: Any) -> str:
            request_id = ask(method, *more)
            if method == "agent":
                raise KeyboardInterrupt
            return request_id

        client.request = ask_and_be_interrupted  # type: ignore[method-assign]
        assert agent_remote._answer(args, client, "hi") == EXIT_INTERRUPTED
    asked, stopped = (requests.get(timeout=PATIENCE) for _ in range(2))
    assert (asked["method"], stopped["method"]) == ("agent", "chat.abort")
    run_id = asked["params"]["idempotencyKey"]
    assert stopped["params"] == {"sessionKey": "agent:main:notes", "runId": run_id}
