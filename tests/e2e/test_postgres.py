"""Sessions in PostgreSQL: they outlast the gateway, and the gateway outlasts the database's absence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, says
from tests.support.servers import PostgresServer

PASSWORD = "canary-password"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that these tests may stop."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def gateway(server: PostgresServer, provider: ScriptedProvider, tmp_path: Path) -> Iterator[GatewayProcess]:
    url = (
        server.new_database()
        .replace("postgres@", f"postgres:{PASSWORD}@")
        .replace("postgresql:", "postgres:")
    )
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
    provider.always(says("yes"))
    ask(gateway, "one")
    assert gateway.stop() == 0
    gateway.start()
    ask(gateway, "two")
    gateway.kill()
    gateway.start()
    ask(gateway, "three")
    assert asked(provider) == ["one", "yes", "two", "yes", "three"]
    assert not list(gateway.state.glob("*.sqlite*"))
