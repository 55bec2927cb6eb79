"""`python -m app migrate`, which a deployment runs before its new version serves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.storage.migrate import known_versions
from tests.support.gateway import GatewayProcess, config_for
from tests.support.servers import PostgresServer

NEWEST = known_versions()[-1]


@pytest.fixture(params=["sqlite", "postgres"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> GatewayProcess:
    """One that was not started yet."""
    environment = {}
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        environment["DATABASE_URL"] = server.new_database().replace("postgres@", "postgres:canary-password@")
    return GatewayProcess(tmp_path, config_for("http://127.0.0.1:1"), **environment)


def test_it_says_what_it_did(gateway: GatewayProcess) -> None:
    first = gateway.command("migrate")
    assert (first.returncode, first.stderr) == (0, "")
    assert f"was empty, and has the tables of version {NEWEST}" in first.stdout
    again = gateway.command("migrate", "--json")
    assert again.returncode == 0
    told = json.loads(again.stdout)
    assert (told["from"], told["to"]) == (NEWEST, NEWEST)
    assert "nothing to do" in gateway.command("migrate").stdout
    assert "canary" not in first.stdout + again.stdout
    assert told["database"].startswith(("/", "postgresql://127.0.0.1:"))


@pytest.mark.slow
def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    url = "postgresql://u:canary-password@127.0.0.1:1/x"
    gateway = GatewayProcess(tmp_path, config_for("http://127.0.0.1:1"), DATABASE_URL=url)
    done = gateway.command("migrate")
    assert done.returncode == 75
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr + done.stdout


def test_a_newer_version_is_refused(tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    gateway = GatewayProcess(tmp_path, config_for("http://127.0.0.1:1"), DATABASE_URL=url)
    assert gateway.command("migrate").returncode == 0
    postgres.execute("UPDATE alembic_version SET version_num = '9999'", url.rpartition("/")[2])
    refused = gateway.command("migrate", "--json")
    assert refused.returncode != 0
    assert "newer version of the gateway" in json.loads(refused.stdout)["error"]["message"]
