"""One process of a server for several workers: here with one state directory in one process."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from app.cancel import Cancel
from app.errors import RunAborted
from app.tools.mcp.calls import call_server
from app.tools.mcp.protocol import McpError
from app.tools.mcp.server import McpServer
from tests.support.mcp_peers import is_running, scripted
from tests.unit.tools.mcp.servers import call, server_with

SECONDS = 30.0


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A path that is too long for a socket."""
    return tmp_path / ("long" * 30)


def worker(state: Path, *arguments: str, **more: Any) -> AbstractContextManager[McpServer]:
    return server_with(state, is_shared=True, **scripted(*arguments, **more))


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        with suppress(McpError):
            if condition():
                return
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def process_of(server: McpServer) -> int:
    return int(call(server, "process_id").text)


def test_all_workers_use_the_process_of_the_first(state: Path) -> None:
    with worker(state) as first, worker(state) as second, worker(state) as third:
        assert process_of(first) == process_of(second) == process_of(third)
        assert first.tools == second.tools == third.tools
        assert call(third, "echo", text="hi").text == call(first, "echo", text="hi").text
        folder = state / "mcp-shared"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert all(file.stat().st_mode & 0o077 == 0 for file in folder.glob("*.lock"))


def test_workers_that_begin_at_the_same_moment_share_one(state: Path) -> None:
    found: list[int] = []
    with ExitStack() as stack:
        servers = [stack.enter_context(worker(state)) for _ in range(6)]
        threads = [threading.Thread(target=lambda one=one: found.append(process_of(one))) for one in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
    assert len(found) == 6
    assert len(set(found)) == 1


def test_calls_of_several_workers_run_beside_each_other(state: Path) -> None:
    with worker(state) as first, worker(state) as second:
        assert process_of(first) == process_of(second)
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda one=one, n=n: answers.append(call(one, "echo", text=str(n)).text))
            for n, one in enumerate([first, second] * 10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        assert len(answers) == 20
        assert len(set(answers)) == 20


def test_another_worker_takes_over_when_the_one_that_has_it_ends(state: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(worker(state))
        second = stack.enter_context(worker(state))
        ours = process_of(first)
        assert process_of(second) == ours
        first.close()
        until(lambda: not is_running(ours), "end of the process")
        until(lambda: process_of(second) != ours, "another process")
        third = stack.enter_context(worker(state))
        assert process_of(third) == process_of(second)


def test_a_process_that_ends_is_started_again_for_all(state: Path) -> None:
    with worker(state) as first, worker(state) as second:
        before = process_of(first)
        assert process_of(second) == before
        with pytest.raises(McpError):
            call(second, "die")
        until(lambda: process_of(second) != before, "another process")
        assert process_of(first) == process_of(second)


def sleep(server: McpServer, seconds: float, cancel: Cancel | None, at_work: Callable[[], object]) -> None:
    """Call the tool that takes so long; `at_work` is called once it has begun."""
    server.ready()
    assert server.tools is not None
    tool = next(one for one in server.tools.tools if one.name == "sleep")
    call_server(server, tool, {"seconds": seconds}, cancel, lambda _text: at_work())


def test_what_another_worker_cancels_is_cancelled_at_the_server(state: Path) -> None:
    with worker(state) as first, worker(state) as second:
        process_of(first)
        cancel = Cancel()
        with pytest.raises(RunAborted):
            sleep(second, 1, cancel, lambda: cancel.cancel(RunAborted("Enough.")))
        until(lambda: json.loads(call(first, "cancelled").text), "notice of the cancelled call")


def test_a_worker_that_leaves_cancels_its_calls(state: Path) -> None:
    with worker(state) as first, worker(state) as second:
        process_of(first)
        at_work = threading.Event()

        def call_it() -> None:
            with suppress(McpError):
                sleep(second, 2, None, at_work.set)

        thread = threading.Thread(target=call_it)
        thread.start()
        assert at_work.wait(SECONDS)
        second.close()
        thread.join(SECONDS)
        until(lambda: json.loads(call(first, "cancelled").text), "notice of the cancelled call")


def test_what_is_left_of_a_worker_that_was_killed_is_no_hindrance(state: Path) -> None:
    with worker(state) as first:
        process_of(first)
        (lock,) = (state / "mcp-shared").glob("*.lock")
    lock.with_suffix(".sock").touch()  # nobody listens there
    with worker(state) as second:
        assert process_of(second)


def test_a_server_that_does_not_start_fails_for_all_with_the_reason(state: Path) -> None:
    entry = {"command": "/no/such/program"}
    with ExitStack() as stack:
        for _ in range(2):
            server = stack.enter_context(server_with(state, is_shared=True, **entry))
            with pytest.raises(McpError, match="its program was not found"):
                server.ready()


def test_other_settings_are_another_process(state: Path) -> None:
    with worker(state) as first, worker(state, env={"OTHER": "1"}) as second:
        assert process_of(first) != process_of(second)


def test_nothing_listens_where_nothing_is_shared(state: Path) -> None:
    with server_with(state, **scripted()) as server:
        process_of(server)
        assert not os.path.exists(state / "mcp-shared")


def test_a_worker_that_asks_nothing_for_long_and_then_much_keeps_its_connection(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.tools.mcp.host_share.WRITE_SECONDS", 0.1)
    with worker(state) as first, worker(state) as second:
        process_of(first)
        for _ in range(3):
            for number in range(100):
                assert call(second, "echo", text=str(number)).text == json.dumps({"text": str(number)})
            time.sleep(0.3)
        assert "ended" not in caplog.text
