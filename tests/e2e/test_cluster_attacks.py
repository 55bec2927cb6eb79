"""What goes wrong around several workers, and must leave nothing behind that is stuck, lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.cluster import Cluster
from tests.support.gateway import GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, says, wait_until
from tests.support.servers import PostgresServer, RedisServer

# A disk that is full just when runs end.
NO_ENDS = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$ LANGUAGE plpgsql;
CREATE TRIGGER no_ends BEFORE UPDATE ON runs FOR EACH ROW WHEN (NEW.state <> 'running')
EXECUTE FUNCTION refuse()
"""


@pytest.fixture(scope="module")
def cluster(
    _shared_provider: ScriptedProvider,
    postgres: PostgresServer,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
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


@contextmanager
def ends_refused(cluster: Cluster) -> Iterator[None]:
    """While the block goes on the database stores no run's end."""
    cluster.rows(NO_ENDS)
    try:
        yield
    finally:
        cluster.rows("DROP TRIGGER no_ends ON runs")


def test_a_run_whose_end_could_not_be_stored_does_not_stop_its_session(
    cluster: Cluster, here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    with ends_refused(cluster):
        provider.plays(says("lost"))
        lost = here.ask("first", user="full")
        assert (lost.status, lost.error["code"]) == (503, "service_unavailable")
    assert there.ask("second", user="full").text == "echo: first\n\nsecond"
    run_id = lost.headers["X-OpenClaw-Run-Id"]
    assert cluster.rows(f"SELECT state FROM runs WHERE id = '{run_id}'") == [("interrupted",)]
    assert here.ask("third", user="full").text == "echo: third"


def test_a_run_whose_end_could_not_be_stored_ends_by_itself(
    cluster: Cluster, here: GatewayProcess, provider: ScriptedProvider
) -> None:
    with ends_refused(cluster):
        assert here.ask("alone", user="nobody-else").status == 503
    unended = "SELECT count(*) FROM runs WHERE state = 'running'"
    wait_until(lambda: cluster.rows(unended) == [(0,)], 30, "end of the run")
