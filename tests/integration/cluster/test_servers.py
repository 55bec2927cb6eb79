"""The servers that tests start are real ones, and survive being stopped."""

from __future__ import annotations

import signal

from tests.support.servers import PostgresServer, RedisServer


def test_postgres_keeps_what_it_has_over_a_crash() -> None:
    with PostgresServer() as server:
        name = server.new_database().rpartition("/")[2]
        server.execute("CREATE TABLE kept AS SELECT 7 AS number", name)
        server.stop(signal.SIGQUIT)
        server.start()
        assert server.execute("SELECT number FROM kept", name) == [(7,)]


def test_redis_starts_again_at_its_address(redis_server: RedisServer) -> None:
    redis_server.client().set("name", "value")
    assert redis_server.client().get("name") == b"value"
    redis_server.stop()
    redis_server.start()
    assert redis_server.client().get("name") is None
