"""What holds for all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.servers import PostgresServer, RedisServer

# A loaded machine is not a fault.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure() -> None:
    """A program that a shell starts in the background ignores SIGINT, and so do its children.

    Tests of Ctrl-C send that signal, to this process and to commands, which must not depend on who starts
    them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: Any, argname: str) -> str | None:
    """Bytes that are no text go by the name of their parameter. What is compressed has the time in it, and
    processes that share the tests among them have to call each by the same name.
    """
    return argname if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()) else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of this process; each takes a database of its own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for all tests of this process; each takes a prefix or a database of its own."""
    with RedisServer(databases="1000") as server:
        yield server
