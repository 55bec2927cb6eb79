"""A gateway with Redis, which goes away and comes back: requests that do not need it do not notice."""

from __future__ import annotations

from pathlib import Path

from tests.support.gateway import GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, wait_until
from tests.support.servers import RedisServer


def test_a_gateway_serves_while_redis_is_away_and_says_so_once(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    with RedisServer() as server:
        gateway = GatewayProcess(tmp_path, config_for(provider.url), REDIS_URL=server.url()).start()
        try:
            wait_until(lambda: server.client().pubsub_channels("openclaw:*"), 60, "subscription")
            server.stop()
            for _ in range(3):
                assert gateway.ask("hello").status == 200
            wait_until(lambda: "Redis is away" in gateway.log, 60, "line in the log")
            server.start()
            wait_until(lambda: "Redis is back" in gateway.log, 60, "line in the log")
            wait_until(lambda: server.client().pubsub_channels("openclaw:*"), 60, "subscription")
            assert gateway.ask("hello").status == 200
            assert gateway.log.count("Redis is away") == 1
        finally:
            assert gateway.stop() == 0
        assert "Traceback" not in gateway.log


def test_a_gateway_starts_without_the_redis_that_it_is_to_use(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    gateway = GatewayProcess(
        tmp_path, config_for(provider.url), REDIS_URL="redis://:secret-word@127.0.0.1:1/0"
    )
    gateway.start()
    try:
        assert gateway.ask("hello").status == 200
        wait_until(lambda: "Redis is away" in gateway.log, 60, "line in the log")
        assert "secret-word" not in gateway.log
    finally:
        assert gateway.stop() == 0
