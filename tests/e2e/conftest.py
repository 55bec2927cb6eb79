from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.gateway import GatewayProcess, config_for
from tests.support.provider import ScriptedProvider
from tests.support.servers import PostgresServer, RedisServer
from tests.support.sessions import delete_sessions

StartGateway = Callable[..., GatewayProcess]
ShareGateway = Callable[[dict[str, Any]], GatewayProcess]


@pytest.fixture(scope="session")
def _shared_provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def provider(_shared_provider: ScriptedProvider) -> ScriptedProvider:
    _shared_provider.reset()
    return _shared_provider


@pytest.fixture(scope="session")
def _shared_gateways(_shared_provider: ScriptedProvider) -> Iterator[dict[str, GatewayProcess]]:
    """Those that run, by their configuration."""
    gateways: dict[str, GatewayProcess] = {}
    yield gateways
    for gateway in gateways.values():
        assert gateway.stop() == 0, gateway.log


@pytest.fixture
def share_gateway(
    _shared_gateways: dict[str, GatewayProcess],
    provider: ScriptedProvider,
    tmp_path_factory: pytest.TempPathFactory,
) -> ShareGateway:
    """One gateway, without sessions and at rest, for all tests that want the same configuration and leave it
    otherwise as they found it.
    """
    is_first = True

    def share(config: dict[str, Any]) -> GatewayProcess:
        nonlocal is_first
        name = json.dumps(config)
        if name not in _shared_gateways:
            _shared_gateways[name] = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
        delete_sessions(_shared_gateways[name])
        if is_first:
            provider.reset()  # the runs of the test before may have asked once more while they were ended
            is_first = False
        return _shared_gateways[name]

    return share


@pytest.fixture
def gateway(share_gateway: ShareGateway, provider: ScriptedProvider) -> GatewayProcess:
    """The one that most tests share."""
    return share_gateway(config_for(provider.url))


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


@pytest.fixture(scope="module")
def cluster(
    _shared_provider: ScriptedProvider,
    postgres: PostgresServer,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """Two hosts of one worker each, with one PostgreSQL and one Redis."""
    folder = tmp_path_factory.mktemp("cluster")
    config = config_for(_shared_provider.url)
    with Cluster(folder, config, postgres, redis_server, workers=1) as cluster:
        yield cluster


@pytest.fixture
def here(cluster: Cluster) -> GatewayProcess:
    return cluster.hosts[0]


@pytest.fixture
def there(cluster: Cluster) -> GatewayProcess:
    return cluster.hosts[1]
