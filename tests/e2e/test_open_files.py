"""Where `ulimit -n` is low the gateway holds fewer connections (docs/deploy.md#open-files)."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil

from tests.e2e.conftest import StartGateway
from tests.support.provider import wait_until

FILES, CONNECTIONS = 256, 96


@contextmanager
def few_files() -> Iterator[None]:
    """For processes that are started in the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_are_lowered_to_what_the_open_files_allow(start_gateway: StartGateway) -> None:
    with few_files():
        gateway = start_gateway()
    assert "fewer connections at a time" in gateway.log
    assert f'"worker_connections":{CONNECTIONS}' in gateway.log
    [worker] = psutil.Process(gateway.pid).children()
    before = worker.num_fds()
    with ExitStack() as stack:
        for _ in range(FILES + 50):
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
        wait_until(lambda: worker.num_fds() >= before + CONNECTIONS // 2, 20, "accepted connections")
        assert worker.num_fds() <= before + CONNECTIONS + 10
    assert gateway.request("GET", "/health").status == 200
    assert gateway.ask("hi").text == "echo: hi"
    assert "Too many open files" not in gateway.log


def test_nothing_is_logged_where_there_are_enough(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    assert "fewer connections at a time" not in gateway.log
