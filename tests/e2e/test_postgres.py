"""Sessions in PostgreSQL: they outlast the gateway, and the gateway outlasts the database's absence."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import TOKEN, GatewayProcess, config_for
from tests.support.operator import operator
from tests.support.provider import PATIENCE, ScriptedProvider, says, text, wait_for, wait_until
from tests.support.servers import PostgresServer

PASSWORD = "canary-password"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that these tests may stop."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def database(server: PostgresServer) -> str:
    """The name of an empty one."""
    return server.new_database().rpartition("/")[2]


@pytest.fixture
def gateway(
    server: PostgresServer, database: str, provider: ScriptedProvider, tmp_path: Path
) -> Iterator[GatewayProcess]:
    url = f"postgres://postgres:{PASSWORD}@127.0.0.1:{server.port}/{database}?sslmode=prefer"
    provider.always(says("yes"))
    gateway = GatewayProcess(tmp_path, config_for(provider.url), DATABASE_URL=url).start()
    yield gateway
    gateway.stop()
    assert PASSWORD not in gateway.log
    assert "Traceback" not in gateway.log


def ask(gateway: GatewayProcess, text: str, user: str = "ann") -> str:
    answer = gateway.ask(text, user=user)
    assert answer.status == 200, answer.body
    return answer.text


def asked(provider: ScriptedProvider) -> list[Any]:
    """What the newest request to the provider has, without the system prompt."""
    return [content for role, content in provider.messages() if role != "system"]


def test_a_conversation_goes_on_after_a_restart_and_after_kill_9(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    ask(gateway, "one")
    assert gateway.stop() == 0
    gateway.start()
    ask(gateway, "two")
    gateway.kill()
    gateway.start()
    ask(gateway, "three")
    assert asked(provider) == ["one", "yes", "two", "yes", "three"]
    assert not list(gateway.state.glob("*.sqlite*"))


def test_a_restart_of_the_database_costs_no_turn(
    gateway: GatewayProcess, provider: ScriptedProvider, server: PostgresServer, database: str
) -> None:
    """One that is being answered, one that waits behind it, and one that comes while the database is away."""
    ask(gateway, "zero")
    go_on = threading.Event()
    provider.plays([text("a"), wait_for(go_on), *says("b")], says("c"))
    answers: dict[str, Any] = {}

    def talk(question: str, user: str) -> None:
        answers[question] = gateway.ask(question, user=user)

    talkers = [threading.Thread(target=talk, args=each) for each in (("one", "ann"), ("two", "ann"))]
    talkers[0].start()
    provider.wait_for_requests(2)
    talkers[1].start()
    wait_until(lambda: stored_runs(server, database) == 3, PATIENCE, "the second run")
    server.stop()
    late = threading.Thread(target=talk, args=("three", "bob"))
    late.start()
    go_on.set()
    time.sleep(0.5)
    server.start()
    for talker in (*talkers, late):
        talker.join(PATIENCE)
    assert [answers[one].status for one in ("one", "two")] == [200, 200]
    assert answers["three"].status in (200, 503)
    ask(gateway, "last")
    assert asked(provider)[:5] == ["zero", "yes", "one", "ab", "two"]


def test_while_the_database_is_away_it_says_so_and_knows_its_callers(
    gateway: GatewayProcess, provider: ScriptedProvider, server: PostgresServer
) -> None:
    ask(gateway, "one")
    assert gateway.request("GET", "/ready").status == 200
    server.stop()
    try:
        wait_until(lambda: gateway.request("GET", "/ready").status == 503, PATIENCE, "it to be noticed")
        assert gateway.request("GET", "/ready").json["failing"] == ["storage"]
        assert gateway.request("GET", "/health").status == 200
        refused = gateway.ask("two", user="ann")
        assert (refused.status, refused.error["code"]) == (503, "service_unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        assert "DATABASE_URL" in refused.error["message"]
        assert gateway.ask("stateless").status == 200  # without a session
        assert gateway.chat({"model": "openclaw", "messages": []}, token="wrong").status == 401
    finally:
        server.start()
    wait_until(lambda: gateway.request("GET", "/ready").status == 200, PATIENCE, "it to be back")
    ask(gateway, "three")
    assert asked(provider) == ["one", "yes", "three"]


def stored_runs(server: PostgresServer, database: str) -> int:
    (found,) = server.execute("SELECT count(*) FROM runs", database)[0]
    return int(found)


def test_the_password_is_shown_nowhere(gateway: GatewayProcess) -> None:
    with operator(gateway) as client:
        for method in ("config.get", "status", "sessions.list", "logs.tail"):
            answer = client.response(client.request(method, {}))
            assert answer["ok"], answer
            assert PASSWORD not in json.dumps(answer)
    for arguments in (["config", "show"], ["config", "check"]):
        shown = gateway.command(*arguments)
        assert shown.returncode == 0, shown.stderr
        assert PASSWORD not in shown.stdout + shown.stderr


@pytest.mark.slow
def test_a_session_goes_on_after_the_database_was_away_for_longer_than_anything_is_tried(
    gateway: GatewayProcess, provider: ScriptedProvider, server: PostgresServer
) -> None:
    go_on = threading.Event()
    provider.plays([text("a"), wait_for(go_on), *says("b")])
    answers: list[Any] = []
    body = {"model": "openclaw", "user": "ann", "messages": [{"role": "user", "content": "one"}]}
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    asking = ("POST", "/v1/chat/completions", body, headers, 120)
    talker = threading.Thread(target=lambda: answers.append(gateway.request(*asking)))
    talker.start()
    provider.wait_for_requests(1)
    server.stop()
    try:
        go_on.set()
        talker.join(120)
        assert answers[0].status == 503
    finally:
        server.start()
    wait_until(lambda: gateway.request("GET", "/ready").status == 200, PATIENCE, "it to be back")
    ask(gateway, "two")  # which waits until the first one is known to have ended
    assert asked(provider) == ["one\n\ntwo"]
