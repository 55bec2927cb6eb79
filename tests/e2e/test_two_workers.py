"""A gateway of two workers, on PostgreSQL and Redis: it starts, serves, reloads, loses a worker and stops."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.gateway import GatewayProcess, config_for, read_until
from tests.support.mcp_peers import scripted, with_servers
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider, done, finish, says, text, tool_call, wait_for, wait_until
from tests.support.servers import PostgresServer, RedisServer

START_SECONDS = 60
HEROKU_SECONDS = 30  # between SIGTERM and SIGKILL

Start = Callable[..., GatewayProcess]


@pytest.fixture
def start_two(
    tmp_path: Path, provider: ScriptedProvider, postgres: PostgresServer, redis_server: RedisServer
) -> Iterator[Start]:
    """Starts a gateway with two workers and a database of its own."""
    started: list[GatewayProcess] = []

    def start(config: dict[str, Any] | None = None) -> GatewayProcess:
        gateway = GatewayProcess(
            tmp_path,
            config or config_for(provider.url),
            DATABASE_URL=postgres.new_database(),
            REDIS_URL=redis_server.url(),
            WEB_CONCURRENCY="2",
        )
        started.append(gateway.start())
        wait_until(lambda: len(workers(gateway)) == 2, START_SECONDS, "two workers")
        return gateway

    yield start
    for gateway in started:
        gateway.stop()


def workers(gateway: GatewayProcess) -> set[int]:
    return {child.pid for child in psutil.Process(gateway.pid).children()}


def is_served(gateway: GatewayProcess) -> bool:
    try:
        return gateway.request("GET", "/ready").status == 200
    except OSError:
        return False


def test_both_take_requests_and_one_session_is_one(start_two: Start, provider: ScriptedProvider) -> None:
    gateway = start_two()
    before = {pid: psutil.Process(pid).cpu_times().user for pid in workers(gateway)}
    for turn in range(30):
        assert gateway.ask(f"turn {turn}", user="ann").status == 200
    asked = [content for role, content in provider.messages() if role == "user"]
    assert asked == [f"turn {turn}" for turn in range(30)]

    def have_worked() -> bool:
        """Which of them takes a new connection is the system's to say, and their time comes in steps."""
        assert gateway.ask("hi").status == 200
        return all(psutil.Process(pid).cpu_times().user > cpu for pid, cpu in before.items())

    wait_until(have_worked, 30, "new connections that go to both")


def test_a_worker_that_is_killed_is_replaced_while_the_other_serves(start_two: Start) -> None:
    gateway = start_two()
    victim, other = sorted(workers(gateway))
    os.kill(victim, signal.SIGKILL)
    for _ in range(20):
        assert gateway.ask("hi", user="bob").status == 200
    wait_until(lambda: len(workers(gateway) - {victim}) == 2, START_SECONDS, "another worker")
    assert other in workers(gateway)
    assert gateway.stop() == 0


def test_sigterm_lets_streams_of_both_workers_end(start_two: Start, provider: ScriptedProvider) -> None:
    gateway = start_two()
    ready = threading.Event()
    provider.always([text("slow "), wait_for(ready), *says("but whole")])
    with ExitStack() as stack, operator(gateway):
        streams = [stack.enter_context(gateway.stream("hi")) for _ in range(8)]
        begun = [read_until(stream, b"slow ") for stream in streams]
        terminated = time.monotonic()
        gateway.terminate()
        ready.set()
        whole = [start + stream.read() for start, stream in zip(begun, streams, strict=True)]
        assert gateway.wait(HEROKU_SECONDS + 10) == 0
        took = time.monotonic() - terminated
    assert all(answer.endswith(b"data: [DONE]\n\n") for answer in whole)
    assert all(b'"finish_reason":"stop"' in answer for answer in whole)
    assert took < HEROKU_SECONDS


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_sigterm_ends_streams_that_would_not_end_before_heroku_kills(
    start_two: Start, provider: ScriptedProvider
) -> None:
    gateway = start_two()
    never = threading.Event()
    provider.always([text("for ever"), wait_for(never)])
    with ExitStack() as stack, operator(gateway):
        streams = [stack.enter_context(gateway.stream("hi", user=f"u{n}")) for n in range(8)]
        begun = [read_until(stream, b"for ever") for stream in streams]
        terminated = time.monotonic()
        gateway.terminate()
        whole = [start + stream.read() for start, stream in zip(begun, streams, strict=True)]
        assert gateway.wait(HEROKU_SECONDS + 10) == 0
        took = time.monotonic() - terminated
    never.set()
    assert all(answer.endswith(b"data: [DONE]\n\n") for answer in whole)
    assert all(b"service_unavailable" in answer for answer in whole)
    assert took < HEROKU_SECONDS


def test_a_reload_takes_other_workers_and_cuts_no_stream(
    start_two: Start, provider: ScriptedProvider
) -> None:
    gateway = start_two()
    before = workers(gateway)
    ready = threading.Event()
    provider.always([text("slow "), wait_for(ready), *says("but whole")])
    with gateway.stream("hi") as stream:
        begun = read_until(stream, b"slow ")
        os.kill(gateway.pid, signal.SIGHUP)
        wait_until(lambda: len(workers(gateway) - before) == 2, START_SECONDS, "other workers")
        ready.set()
        whole = begun + stream.read()
    assert whole.endswith(b"data: [DONE]\n\n")
    assert b'"finish_reason":"stop"' in whole
    wait_until(lambda: workers(gateway).isdisjoint(before), START_SECONDS, "end of the first workers")
    wait_until(lambda: is_served(gateway), START_SECONDS, "readiness")
    provider.always(says("as before"))
    assert gateway.ask("hi").text == "as before"


def test_a_signal_adds_a_worker_that_can_share_its_work(start_two: Start) -> None:
    gateway = start_two()
    os.kill(gateway.pid, signal.SIGTTIN)
    wait_until(lambda: len(workers(gateway)) == 3, START_SECONDS, "a third worker")
    assert gateway.ask("hi", user="carl").status == 200


def test_an_mcp_server_and_its_tools_are_one_for_both(start_two: Start, provider: ScriptedProvider) -> None:
    gateway = start_two(with_servers(provider.url, {"docs": scripted()}))

    def process() -> str:
        provider.plays(
            [tool_call(0, "c", "docs__process_id", "{}"), finish("tool_calls"), done()], says("ok")
        )
        assert gateway.ask("Which process?").text == "ok"
        result: str = provider.requests[-1]["messages"][-1]["content"]
        return result

    # A new connection each time, which either worker may take.
    first = process()
    assert {process() for _ in range(15)} == {first}
    servers = [one for one in psutil.Process(gateway.pid).children(recursive=True) if is_server(one)]
    (server,) = servers
    victim = server.parent()
    assert victim is not None
    victim.kill()
    wait_until(lambda: len(workers(gateway) - {victim.pid}) == 2, START_SECONDS, "another worker")
    wait_until(lambda: process() not in (first, ""), START_SECONDS, "another server")


def is_server(process: psutil.Process) -> bool:
    return any("mcp_server.py" in word for word in process.cmdline())
