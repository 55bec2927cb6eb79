"""The commands that ask a running gateway: what they print, and their exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import ROOT, TOKEN, GatewayProcess, clean_environment, config_for, free_port
from tests.support.operator import operator
from tests.support.provider import (
    ScriptedProvider,
    cut,
    hang,
    pause,
    respond,
    says,
    text,
    wait_for,
    wait_until,
)

OK, FAILED, USAGE, TRY_AGAIN, CONFIG, INTERRUPTED = 0, 1, 2, 75, 78, 130


def lines(done: subprocess.CompletedProcess[str]) -> list[Any]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def start(gateway: GatewayProcess, *arguments: str) -> subprocess.Popen[str]:
    """A command that is not waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=clean_environment(HOME=str(gateway.folder), OPENCLAW_CONFIG_PATH=str(gateway.config_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def fresh(start_gateway: StartGateway) -> GatewayProcess:
    """A gateway without sessions of other tests."""
    return start_gateway()


# agent


def test_the_answer_and_nothing_else_is_printed(gateway: GatewayProcess) -> None:
    done = gateway.command("agent", "--message", "hi")
    assert (done.returncode, done.stdout, done.stderr) == (OK, "echo: hi\n", "")


def test_the_run_is_the_gateways(fresh: GatewayProcess, provider: ScriptedProvider) -> None:
    with operator(fresh) as watcher:
        assert fresh.command("agent", "-m", "hi").stdout == "echo: hi\n"
        assert watcher.until("chat", state="final")["sessionKey"] == "agent:main:main"


def test_by_default_the_main_session_is_continued(fresh: GatewayProcess, provider: ScriptedProvider) -> None:
    fresh.command("agent", "-m", "one")
    fresh.command("agent", "-m", "two", "--session-key", "main")
    assert [content for _, content in provider.messages()][1:] == ["one", "echo: one", "two"]
    fresh.command("agent", "-m", "three", "--session-key", "another")
    assert [content for _, content in provider.messages()][1:] == ["three"]
    fresh.command("agent", "-m", "four", "--agent", "beta")
    assert provider.messages() == [("system", "You are beta."), ("user", "four")]


def test_local_needs_no_gateway_and_stores_nothing(gateway: GatewayProcess, tmp_path: Path) -> None:
    with_no_gateway = ("--local", "--json")
    done = gateway.command("agent", "-m", "hi", *with_no_gateway)
    (document,) = lines(done)
    assert done.returncode == OK
    assert document["text"] == "echo: hi"
    assert document["sessionKey"].startswith("agent:main:openai:")


def test_an_answer_as_json(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("hï", prompt=7, completion=2))
    done = gateway.command("agent", "-m", "hi", "--json", "--agent", "BETA", "--session-key", "Notes")
    (document,) = lines(done)
    assert done.returncode == OK
    assert document.pop("runId")
    assert document == {
        "agent": "beta",
        "sessionKey": "agent:beta:notes",
        "text": "hï",
        "finishReason": "stop",
        "usage": {"promptTokens": 7, "completionTokens": 2, "totalTokens": 9},
    }


def test_a_stream_as_json(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    has_come = threading.Event()
    provider.plays([text("one "), wait_for(has_come), text("two "), *says("three ")])
    with start(gateway, "agent", "-m", "hi", "--json", "--stream") as command:
        assert command.stdout is not None
        first = json.loads(command.stdout.readline())
        has_come.set()
        *others, final = [json.loads(line) for line in command.stdout]
    assert command.returncode == OK
    deltas = [first, *others]
    assert [one["type"] for one in deltas] == ["delta"] * len(deltas)
    assert len(deltas) > 1
    assert "".join(one["text"] for one in deltas) == final["text"] == "one two three "
    assert final["type"] == "final"


def test_a_stream_is_printed_as_it_arrives(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    has_come = threading.Event()
    provider.plays([text("first "), wait_for(has_come), *says("second")])
    with start(gateway, "agent", "-m", "hi", "--stream") as command:
        assert command.stdout is not None
        assert command.stdout.read(6) == "first "
        has_come.set()
        assert command.stdout.read() == "second\n"
    assert command.returncode == OK


def test_a_message_from_standard_input_of_any_size(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    message = "ä🦞" * 500_000
    provider.plays(says("read"))
    done = gateway.command("agent", "-m", "-", "--session-key", "large", stdin=message)
    assert (done.returncode, done.stdout) == (OK, "read\n"), done.stderr
    assert provider.messages()[-1] == ("user", message)


def test_a_long_answer_is_whole(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    answer = "0123456789abcdef" * 4000
    provider.plays(says(*(answer[n : n + 1600] for n in range(0, len(answer), 1600))))
    assert gateway.command("agent", "-m", "hi", "--session-key", "long").stdout == answer + "\n"


FAILURES: list[tuple[list[Any] | None, tuple[str, ...], int]] = [
    (None, ("--agent", "nobody"), USAGE),
    (None, ("--agent", "main", "--session-key", "agent:beta:x"), USAGE),
    (None, ("--session-key", "agent::x"), USAGE),
    ([respond(401, {"error": {"message": "no such key"}})], (), FAILED),
    ([respond(400, {"error": {"message": "no such thing"}})], (), USAGE),
    ([respond(429, {"error": {"message": "slow down"}}, Retry_After="60")], (), TRY_AGAIN),
    ([text("half"), cut()], (), FAILED),
    (None, ("--message", " "), USAGE),
]


@pytest.mark.parametrize(("script", "words", "code"), FAILURES)
@pytest.mark.parametrize("local", [(), ("--local",)])
def test_failures(
    gateway: GatewayProcess,
    provider: ScriptedProvider,
    script: list[Any] | None,
    words: tuple[str, ...],
    code: int,
    local: tuple[str, ...],
) -> None:
    """The same exit codes from a gateway and with --local."""
    if script is not None:
        provider.always(script)
    done = gateway.command("agent", "-m", "hi", "--json", *words, *local)
    assert done.returncode == code, done.stderr
    (document,) = lines(done)
    assert set(document["error"]) == {"code", "message"}
    assert done.stderr == f"error: {document['error']['message']}\n"


def test_what_was_printed_before_a_failure_stays(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.always([text("half"), pause(0.2), cut()])
    done = gateway.command("agent", "-m", "hi", "--stream")
    assert (done.returncode, done.stdout) == (FAILED, "half\n")


@pytest.mark.parametrize("local", [(), ("--local",)])
def test_a_run_that_takes_too_long(
    gateway: GatewayProcess, provider: ScriptedProvider, local: tuple[str, ...]
) -> None:
    provider.plays([text("half"), hang()])
    done = gateway.command("agent", "-m", "hi", "--timeout", "3", *local)
    assert done.returncode == FAILED, done.stderr
    assert "3 s" in done.stderr
    provider.wait_for_leaving()


def test_ctrl_c_stops_the_run(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([text("half"), hang()])
    with operator(gateway) as watcher, start(gateway, "agent", "-m", "hi", "--stream") as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.read(4) == "half"
        command.send_signal(signal.SIGINT)
        assert command.wait(40) == INTERRUPTED
        assert command.stderr.read() == ""
        assert watcher.until("chat", state="aborted")["message"]["content"][0]["text"] == "half"
    provider.wait_for_leaving()


def test_ctrl_c_stops_a_run_that_is_queued(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([text("half"), hang()], says("never"))
    session = ("--session-key", "queue")
    with operator(gateway) as watcher, start(gateway, "agent", "-m", "first", "--stream", *session) as first:
        assert first.stdout is not None
        assert first.stdout.read(4) == "half"
        begun = gateway.log.count("run started")
        with start(gateway, "agent", "-m", "second", *session) as second:
            wait_until(lambda: gateway.log.count("run started") > begun, 30, "second run")
            second.send_signal(signal.SIGINT)
            assert second.wait(40) == INTERRUPTED
        watcher.until("chat", state="aborted")
        assert first.poll() is None
        first.send_signal(signal.SIGINT)
        assert first.wait(40) == INTERRUPTED
    assert len(provider.requests) == 1


def test_a_gateway_that_stops_lets_the_run_end(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    stops = threading.Event()
    provider.plays([text("first "), wait_for(stops), *says("last")])
    with operator(gateway) as watcher, start(gateway, "agent", "-m", "hi", "--stream") as command:
        assert command.stdout is not None
        assert command.stdout.read(6) == "first "
        gateway.terminate()
        watcher.until("shutdown")
        stops.set()
        assert command.stdout.read() == "last\n"
    assert command.returncode == OK


def test_a_gateway_that_is_killed(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway()
    provider.plays([text("half"), hang()])
    with start(gateway, "agent", "-m", "hi", "--stream") as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.read(4) == "half"
        gateway.kill()
        assert command.wait(40) == FAILED
        assert command.stdout.read() == "\n"
        assert "closed the connection" in command.stderr.read()


# The other commands

SHAPES: list[tuple[tuple[str, ...], set[str]]] = [
    (("health",), {"ok", "ts", "agents", "sessions", "defaultAgentId"}),
    (("status",), {"gateway", "sessions"}),
    (("sessions",), {"count", "sessions", "defaults"}),
    (("call", "health"), {"ok"}),
    (("call", "chat.history", "--params", '{"sessionKey": "main"}'), {"messages", "sessionKey"}),
]


@pytest.mark.parametrize(
    ("words", "keys"), SHAPES, ids=lambda value: " ".join(sorted(value) if isinstance(value, set) else value)
)
def test_json(gateway: GatewayProcess, words: tuple[str, ...], keys: set[str]) -> None:
    done = gateway.command(*words, "--json")
    assert (done.returncode, done.stderr) == (OK, "")
    (document,) = lines(done)
    assert keys <= document.keys()


def facts(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    assert done.returncode == OK, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_health(gateway: GatewayProcess) -> None:
    shown = dict(facts(gateway.command("health")))
    assert shown["health"] == "ok"
    assert shown["gateway"].startswith(f"ws://127.0.0.1:{gateway.port}/ answered in ")
    assert shown["agents"] == "main (default), beta"


def test_status(fresh: GatewayProcess) -> None:
    fresh.command("agent", "-m", "hi", "--session-key", "notes")
    shown = dict(facts(fresh.command("status")))
    assert shown["gateway"] == f"ws://127.0.0.1:{fresh.port}/"
    assert shown["version"].endswith(", protocol 4")
    assert shown["model"] == "test/test"
    assert shown["sessions"] == "1"
    assert shown["recent"].startswith("agent:main:notes (")
    (document,) = lines(fresh.command("status", "--json"))
    assert document["gateway"]["url"] == f"ws://127.0.0.1:{fresh.port}/"
    assert document["gateway"]["protocol"] == 4


def test_sessions(fresh: GatewayProcess) -> None:
    assert fresh.command("sessions").stdout == ""
    for key, agent in (("one", "main"), ("two", "beta"), ("three", "main")):
        fresh.command("agent", "-m", "hi", "--session-key", key, "--agent", agent)
    rows = facts(fresh.command("sessions"))
    assert [row[0] for row in rows] == ["agent:main:three", "agent:beta:two", "agent:main:one"]
    assert rows[0][1].endswith(" ago")
    assert rows[0][2] == "test/test"
    assert [row[0] for row in facts(fresh.command("sessions", "--agent", "beta"))] == ["agent:beta:two"]
    assert [row[0] for row in facts(fresh.command("sessions", "--limit", "1"))] == ["agent:main:three"]
    assert len(facts(fresh.command("sessions", "--active", "5"))) == 3


def test_logs(fresh: GatewayProcess) -> None:
    fresh.command("agent", "-m", "hi", "--session-key", "notes")
    shown = fresh.command("logs", "--limit", "100")
    assert shown.returncode == OK
    assert any(
        "run finished" in line and "session_key=agent:main:notes" in line
        for line in shown.stdout.splitlines()
    )
    as_json = lines(fresh.command("logs", "--json"))
    assert any(line["message"] == "run finished" for line in as_json)
    assert len(fresh.command("logs", "--limit", "1").stdout.splitlines()) == 1


def test_logs_follow(fresh: GatewayProcess) -> None:
    with start(fresh, "logs", "--follow", "--limit", "1") as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.readline()
        fresh.command("agent", "-m", "hi", "--session-key", "followed")
        line = ""
        while "run finished" not in line:
            line = command.stdout.readline()
            assert line, command.stderr.read()
        assert "agent:main:followed" in line
        command.send_signal(signal.SIGINT)
        assert command.wait(40) == INTERRUPTED
        assert command.stderr.read() == ""


def test_a_reader_that_closes_the_pipe(fresh: GatewayProcess) -> None:
    environment = clean_environment(HOME=str(fresh.folder), OPENCLAW_CONFIG_PATH=str(fresh.config_path))
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m app logs --limit 5000 | head -n 1"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr


def test_call(gateway: GatewayProcess) -> None:
    read = gateway.command("call", "chat.history", "--params", '{"sessionKey": "new"}')
    assert read.returncode == OK
    assert len(read.stdout.splitlines()) > 1
    assert json.loads(read.stdout)["messages"] == []
    params = json.dumps({"message": "hi", "sessionKey": "called", "idempotencyKey": "call-1"})
    (ended,) = lines(gateway.command("call", "agent", "--params", params, "--json"))
    assert ended["status"] == "ok"
    assert ended["result"]["payloads"][0]["text"] == "echo: hi"


@pytest.mark.parametrize(
    "words",
    [
        ("call", "no.such.method"),
        ("call", "chat.history"),
        ("call", "health", "--params", "[]"),
        ("call",),
        ("sing",),
    ],
)
def test_wrong_calls(gateway: GatewayProcess, words: tuple[str, ...]) -> None:
    done = gateway.command(*words)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert done.stderr


# Which gateway, and authentication

COMMANDS = [("agent", "-m", "hi"), ("health",), ("status",), ("sessions",), ("logs",), ("call", "health")]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_no_gateway(gateway: GatewayProcess, words: tuple[str, ...]) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    done = gateway.command(*words, "--url", url, "--token", TOKEN, "--json")
    assert done.returncode == TRY_AGAIN
    assert lines(done)[0]["error"]["code"] == "cannot_connect"
    assert url in done.stderr
    assert "bin/serve" in done.stderr
    assert "--local" in done.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_wrong_token(gateway: GatewayProcess, words: tuple[str, ...]) -> None:
    done = gateway.command(*words, "--token", "wrong-token-canary", "--json")
    assert done.returncode == CONFIG
    assert lines(done)[0]["error"]["code"] == "unauthorized"
    assert "OPENCLAW_GATEWAY_TOKEN" in done.stderr
    assert "canary" not in done.stdout + done.stderr


def test_no_token(gateway: GatewayProcess, tmp_path: Path) -> None:
    done = away(tmp_path, "health", "--url", gateway.url)
    assert done.returncode == CONFIG
    assert "wants a secret" in done.stderr


def away(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command with no configuration but this environment, as on another machine."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=clean_environment(HOME=str(folder), **environment),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_address_and_the_secret_by_options(gateway: GatewayProcess, tmp_path: Path) -> None:
    assert away(tmp_path, "health", "--url", gateway.url, "--token", TOKEN).returncode == OK
    assert away(tmp_path, "health", "--url", gateway.url + "/any/path", "--password", TOKEN).returncode == OK


def test_the_address_and_the_secret_by_the_environment(gateway: GatewayProcess, tmp_path: Path) -> None:
    named = {"OPENCLAW_GATEWAY_URL": gateway.url, "OPENCLAW_GATEWAY_TOKEN": TOKEN}
    assert away(tmp_path, "health", **named).returncode == OK


def test_the_address_and_the_secret_of_a_remote(gateway: GatewayProcess, tmp_path: Path) -> None:
    remote = {"mode": "remote", "remote": {"url": gateway.url, "token": TOKEN}}
    (tmp_path / "openclaw.json").write_text(json.dumps({"gateway": remote}))
    done = away(tmp_path, "agent", "-m", "hi", OPENCLAW_CONFIG_PATH=str(tmp_path / "openclaw.json"))
    assert (done.returncode, done.stdout) == (OK, "echo: hi\n"), done.stderr


def test_a_gateway_with_a_password(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(
        config_for(provider.url, auth={"mode": "password", "password": "a-password-0123456789"})
    )
    assert gateway.command("health").returncode == OK
    assert gateway.command("health", "--password", "wrong").returncode == CONFIG


def test_a_server_that_is_not_a_gateway(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    done = gateway.command("health", "--url", provider.url, "--token", TOKEN)
    assert done.returncode == TRY_AGAIN
    assert "Is it a gateway?" in done.stderr


def test_a_wrong_configuration(tmp_path: Path) -> None:
    (tmp_path / "openclaw.json").write_text("{")
    done = away(tmp_path, "health", OPENCLAW_CONFIG_PATH=str(tmp_path / "openclaw.json"))
    assert (done.returncode, done.stdout) == (CONFIG, "")
    assert "openclaw.json" in done.stderr


# what a model or a gateway sends to the terminal

OSC_52 = "\x1b]52;c;cm0gLXJmIH4=\x07"  # puts text of its own into the clipboard


@pytest.mark.parametrize(
    "options", [(), ("--stream",), ("--local",), ("--json",), ("--json", "--stream"), ("--json", "--local")]
)
def test_a_models_control_characters_do_not_reach_the_terminal(
    gateway: GatewayProcess, provider: ScriptedProvider, options: tuple[str, ...]
) -> None:
    pieces = ["one\n\ttwo ", OSC_52, "\x9b2J\x85", "\x7fthree"]
    provider.plays(says(*pieces))
    done = gateway.command("agent", "-m", "hi", *options)
    assert done.returncode == OK
    assert not set("\x1b\x07\x9b\x85\x7f") & set(done.stdout + done.stderr)
    if "--json" in options:
        assert lines(done)[-1]["text"] == "".join(pieces)
    else:
        assert done.stdout == "one\n\ttwo ]52;c;cm0gLXJmIH4=2Jthree\n"


def test_an_errors_control_characters_do_not_reach_the_terminal(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.always([respond(400, {"error": {"message": f"no {OSC_52}\x9b\x85"}})])
    for options in ((), ("--json",), ("--local",)):
        done = gateway.command("agent", "-m", "hi", *options)
        assert done.returncode != OK
        assert not set("\x1b\x07\x9b\x85") & set(done.stdout + done.stderr)
    for command in (["logs"], ["logs", "--json"], ["sessions", "--json"], ["call", "sessions.list"]):
        printed = gateway.command(*command).stdout
        assert printed
        assert not set("\x1b\x07\x9b\x85") & set(printed)
