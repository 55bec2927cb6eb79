from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import GatewayProcess, config_for
from tests.support.provider import ScriptedProvider
from tests.support.sessions import delete_sessions

StartGateway = Callable[..., GatewayProcess]


@pytest.fixture(scope="session")
def _shared_provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def provider(_shared_provider: ScriptedProvider) -> ScriptedProvider:
    _shared_provider.reset()
    return _shared_provider


@pytest.fixture(scope="session")
def _shared_gateway(
    _shared_provider: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(tmp_path_factory.mktemp("gateway"), config_for(_shared_provider.url))
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log


@pytest.fixture
def gateway(_shared_gateway: GatewayProcess, provider: ScriptedProvider) -> GatewayProcess:
    """One gateway, without sessions, for all tests that leave it otherwise as they found it."""
    delete_sessions(_shared_gateway)
    return _shared_gateway


@pytest.fixture
def start_gateway(tmp_path: Path, provider: ScriptedProvider) -> Iterator[StartGateway]:
    """Starts a gateway of the test's own."""
    started: list[GatewayProcess] = []

    def start(config: dict[str, Any] | None = None, **environment: str) -> GatewayProcess:
        folder = tmp_path / f"gateway-{len(started)}"
        folder.mkdir()
        gateway = GatewayProcess(folder, config or config_for(provider.url), **environment)
        started.append(gateway)
        return gateway.start()

    yield start
    for gateway in started:
        gateway.stop()
