"""Two gateways on one PostgreSQL and one Redis: one of them is killed, stopped, or stands still."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_agent_tools import calls
from tests.support.gateway import Answer, GatewayProcess, agent_config, read_until
from tests.support.provider import PATIENCE, ScriptedProvider, finish, says, text, wait_for, wait_until
from tests.support.servers import PostgresServer, RedisServer

pytestmark = pytest.mark.slow

PASSED_ON_SECONDS = 15.0  # within which a dead worker's session goes on elsewhere
SLACK_SECONDS = 30.0  # for a busy machine
DURABLE = {"X_OpenClaw_On_Disconnect": "continue"}


class Pair:
    """Two gateways that share everything, and what the database says about their runs."""

    def __init__(self, folder: Path, config: dict[str, Any], postgres: PostgresServer, redis: str) -> None:
        self._postgres = postgres
        url = postgres.new_database()
        self._name = url.rpartition("/")[2]
        self.gateways: list[GatewayProcess] = []
        for name in ("a", "b"):
            (folder / name).mkdir()
            self.gateways.append(
                GatewayProcess(folder / name, config, DATABASE_URL=url, REDIS_URL=redis).start()
            )
        self._clients = ThreadPoolExecutor(16)

    def runs(self, columns: str = "state") -> list[Any]:
        """Of all runs, in the order of acceptance."""
        rows = self._postgres.execute(f"SELECT {columns} FROM runs ORDER BY session, turn", self._name)
        return [row[0] if len(row) == 1 else row for row in rows]

    def messages(self) -> list[tuple[str, str]]:
        """(role, content) of all that is stored, in order."""
        return self._postgres.execute(
            "SELECT role, content FROM messages ORDER BY session, turn, position", self._name
        )

    def ask(self, gateway: GatewayProcess, words: str, **headers: str) -> Future[Answer]:
        """Ask in the session `one`, beside the test."""
        body = {"model": "openclaw", "user": "one", "messages": [{"role": "user", "content": words}]}
        count = len(self.runs())
        asked = self._clients.submit(
            gateway.request,
            *("POST", "/v1/chat/completions", body),
            {"Authorization": "Bearer a-token-for-tests-0123456789", "Content-Type": "application/json"}
            | {name.replace("_", "-"): value for name, value in headers.items()},
            120,
        )
        wait_until(lambda: len(self.runs()) > count or asked.done(), PATIENCE, "run")
        return asked

    def stop(self) -> None:
        for gateway in self.gateways:
            assert gateway.stop() == 0, gateway.log
        self._clients.shutdown(wait=False)


@pytest.fixture
def pair(
    tmp_path: Path, provider: ScriptedProvider, postgres: PostgresServer, redis_server: RedisServer
) -> Iterator[Pair]:
    tools = {"exec": {"mode": "full", "sandbox": "off"}}
    config = agent_config(provider.url, tools, workspace=str(tmp_path / "workspace"))
    redis = redis_server.url(os.getpid() % 900 + 50)
    found = Pair(tmp_path, config, postgres, redis)
    yield found
    found.stop()


def worker_of(gateway: GatewayProcess) -> int:
    """The process of the gateway's only worker."""
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    return int(children[0])


def questions(request: dict[str, Any]) -> list[str]:
    return [one["content"] for one in request["messages"] if one["role"] == "user"]


def test_a_session_takes_its_turns_across_workers(pair: Pair, provider: ScriptedProvider):
    a, b = pair.gateways
    held = threading.Event()
    provider.plays([wait_for(held), *says("first")], says("second"), says("third"))
    asked = [pair.ask(a, "one")]
    provider.wait_for_requests(1)
    asked += [pair.ask(b, "two"), pair.ask(a, "three")]
    assert pair.runs("dequeued_at IS NULL") == [False, True, True]
    assert len(provider.requests) == 1
    held.set()
    assert [one.result().text for one in asked] == ["first", "second", "third"]
    assert [questions(one)[-1] for one in provider.requests] == ["one", "two", "three"]
    assert questions(provider.requests[2]) == ["one", "two", "three"]


def test_a_run_goes_on_elsewhere_when_its_worker_is_killed_with_a_tool_at_work(
    pair: Pair, provider: ScriptedProvider, tmp_path: Path
):
    a, b = pair.gateways
    command = "echo x >> made; sleep 60"
    provider.plays(
        calls("read", {"path": "made"}, before="Let me look."),
        calls("exec", {"command": command}, "call_2"),
        says("All ", "done."),
        says("after"),
    )
    pair.ask(a, "do it", **DURABLE)
    made = tmp_path / "workspace" / "made"
    wait_until(made.exists, PATIENCE, "the tool at work")
    later = pair.ask(b, "and then?")
    killed_at = time.monotonic()
    a.kill()
    assert later.result().text == "after"
    assert time.monotonic() - killed_at < PASSED_ON_SECONDS + SLACK_SECONDS
    assert made.read_text() == "x\n"
    result = provider.requests[2]["messages"][-1]
    assert (result["role"], result["tool_call_id"]) == ("tool", "call_2")
    assert "may or may not have taken effect" in result["content"]
    assert pair.runs("state, fence") == [("finished", 2), ("finished", 1)]
    assert pair.runs("prompt_tokens")[0] == 10 + 10 + 7
    assert questions(provider.requests[3]) == ["do it", "and then?"]


def test_what_was_streamed_to_a_client_that_cannot_come_back_is_interrupted(
    pair: Pair, provider: ScriptedProvider
):
    a, b = pair.gateways
    provider.plays([text("Hel"), ("hang", None)], says("after"))
    with a.stream("one", user="one") as response:
        read_until(response, b"Hel")
        wait_until(lambda: pair.runs("request IS NULL") == [True], PATIENCE, "note of it")
        later = pair.ask(b, "two")
        a.kill()
        assert later.result().text == "after"
    assert pair.runs("state, fence") == [("interrupted", 2), ("finished", 1)]


def test_a_run_that_waits_goes_on_elsewhere_in_its_order(pair: Pair, provider: ScriptedProvider):
    a, b = pair.gateways
    held = threading.Event()
    provider.plays([wait_for(held), *says("first")], says("second"), says("third"))
    first = pair.ask(b, "one")
    provider.wait_for_requests(1)
    pair.ask(a, "two", **DURABLE)
    third = pair.ask(b, "three")
    a.kill()
    wait_until(lambda: pair.runs("fence") == [1, 2, 1], PASSED_ON_SECONDS + SLACK_SECONDS, "new owner")
    held.set()
    assert [first.result().text, third.result().text] == ["first", "third"]
    assert questions(provider.requests[-1]) == ["one", "two", "three"]


def test_a_worker_that_stood_still_stores_nothing_and_tells_its_client(
    pair: Pair, provider: ScriptedProvider
):
    a, b = pair.gateways
    held = threading.Event()
    provider.plays([wait_for(held), *says("too late")], says("again"), says("after"))
    stopped = pair.ask(a, "one")
    provider.wait_for_requests(1)
    worker = worker_of(a)
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_until(lambda: pair.runs() == ["finished"], PASSED_ON_SECONDS + SLACK_SECONDS, "other worker")
        held.set()
    finally:
        os.kill(worker, signal.SIGCONT)
    answer = stopped.result()
    assert (answer.status, answer.error["code"]) == (503, "service_unavailable")
    assert not any("too late" in content for _, content in pair.messages())
    assert pair.ask(b, "two").result().text == "after"
    wait_until(lambda: "lease was lost" in a.log, PATIENCE, "line in the log")
    assert pair.ask(a, "three").result().text == "echo: three"


def test_a_stopping_gateway_hands_over_what_waits_and_what_it_cannot_finish(
    pair: Pair, provider: ScriptedProvider
):
    a, b = pair.gateways
    held = threading.Event()
    provider.plays([wait_for(held), *says("first")], says("first"), says("second"), says("third"))
    first = pair.ask(a, "one", **DURABLE)
    provider.wait_for_requests(1)
    second = pair.ask(a, "two", **DURABLE)
    third = pair.ask(b, "three")
    a.terminate()
    assert (second.result().status, first.result().status) == (503, 503)
    assert third.result().text == "third"
    held.set()
    assert pair.runs("state, fence") == [("finished", 2), ("finished", 2), ("finished", 1)]
    assert questions(provider.requests[-1]) == ["one", "two", "three"]


def test_a_gateway_of_its_own_goes_on_with_durable_runs_at_its_next_start(
    tmp_path: Path, provider: ScriptedProvider
):
    gateway = GatewayProcess(tmp_path, agent_config(provider.url)).start()
    held = threading.Event()
    provider.plays([wait_for(held), finish()], says("late"), says("after"))
    try:
        body = {"model": "openclaw", "user": "one", "messages": [{"role": "user", "content": "one"}]}
        with ThreadPoolExecutor() as clients:
            clients.submit(gateway.chat, body, **DURABLE)
            provider.wait_for_requests(1)
            gateway.kill()
            held.set()
        gateway.start()
        provider.wait_for_requests(2)
        assert gateway.ask("two", user="one").text == "after"
        assert [one["content"] for one in provider.requests[-1]["messages"][-3:]] == ["one", "late", "two"]
    finally:
        assert gateway.stop() == 0, gateway.log
