"""What a gateway's death, orderly or not, does to its runs."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess, config_for, read_until
from tests.support.provider import ScriptedProvider, done, finish, hang, pause, says, text, wait_until


def test_a_killed_process_loses_no_accepted_turn(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    provider.plays([text("The answer "), hang()])
    with gateway.stream("Remember the number 42.", user="ann") as stream:
        read_until(stream, b"The answer")
        gateway.kill()

    gateway.start()
    database = sqlite3.connect(gateway.state / "gateway.sqlite")
    wait_until(
        lambda: database.execute("SELECT state FROM runs").fetchall() == [("interrupted",)], 30, "mark"
    )
    database.close()
    provider.plays(says("It was 42."))
    assert gateway.ask("Which number?", user="ann").text == "It was 42."
    assert provider.messages() == [
        ("system", "You are main."),
        ("user", "Remember the number 42.\n\nWhich number?"),
    ]


def test_sigterm_lets_a_stream_end_with_its_finish_chunk(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    provider.plays([text("slow "), pause(1.5), text("but whole"), finish(), done()])
    with gateway.stream("hi") as stream:
        started = stream.read1()
        gateway.terminate()
        rest = stream.read()
    lines = (started + rest).decode().strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[-2].removeprefix("data: "))["choices"][0]["finish_reason"] == "stop"
    assert gateway.wait(40) == 0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_sigterm_ends_a_stream_that_would_not_end(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    provider.plays([text("for ever"), hang()])
    with gateway.stream("hi", user="ann") as stream:
        stream.read1()
        gateway.terminate()
        lines = stream.read().decode().strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[-2].removeprefix("data: "))["error"]["code"] == "service_unavailable"
    assert gateway.wait(40) == 0
    database = sqlite3.connect(gateway.state / "gateway.sqlite")
    assert database.execute("SELECT state FROM runs").fetchall() == [("aborted",)]
    partial = database.execute("SELECT state FROM messages WHERE role = 'assistant'").fetchall()
    database.close()
    assert partial == [("partial",)]


def test_the_first_health_comes_soon(start_gateway: StartGateway) -> None:
    begun = time.monotonic()
    start_gateway()
    # The bound that counts is measured in bench/; this one only catches a start gone very wrong.
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"auth": {"mode": "token"}}, "OPENCLAW_GATEWAY_TOKEN"),
        ({"auth": {"mode": "none"}, "bind": "lan"}, "may only listen on loopback"),
        ({"auth": {"mode": "token", "token": "changeme"}, "bind": "lan"}, "well-known placeholder"),
        ({"auht": {}}, "did you mean `auth`?"),
    ],
)
def test_it_refuses_to_start_and_says_what_to_set(
    tmp_path: Path, provider: ScriptedProvider, change: dict[str, object], said: str
) -> None:
    config = config_for(provider.url)
    config["gateway"] = {**config["gateway"], **change}
    gateway = GatewayProcess(tmp_path, config)
    process = gateway.spawn()
    assert process.wait(40) == 78
    assert said in gateway.log
    assert "Traceback" not in gateway.log
