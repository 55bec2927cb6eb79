"""Backup and restore by the very commands of docs/operations.md, while the gateway runs."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.documents import blocks
from tests.support.gateway import GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, hang, text, wait_until
from tests.support.servers import PostgresServer, postgres_programs


def of_the_page(sign: str) -> str:
    """The commands of docs/operations.md that have that in them."""
    (found,) = [one.text for one in blocks() if one.document == "docs/operations.md" and sign in one.text]
    return found


def run(commands: str, folder: Path, **environment: str) -> None:
    subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env={**os.environ, **environment}, check=True, timeout=60
    )


def remembers(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    assert gateway.ask("and now?", user="ann").status == 200
    assert [content for role, content in provider.messages() if role == "user"] == ["before", "and now?"]


def test_sqlite(start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path) -> None:
    gateway = start_gateway()
    assert gateway.ask("before", user="ann").status == 200
    file = shlex.quote(str(gateway.state / "gateway.sqlite"))
    provider.plays([text("going on"), hang()])
    with gateway.stream("hi", user="bob") as stream:
        stream.read1()
        run(of_the_page("VACUUM INTO").replace("~/.openclaw/gateway.sqlite", file), tmp_path)
    assert gateway.ask("lost with the disk", user="ann").status == 200
    gateway.kill()
    run(of_the_page("-shm").replace("~/.openclaw/gateway.sqlite", file), tmp_path)
    gateway.start()
    provider.reset()
    remembers(gateway, provider)
    assert "malformed" not in gateway.log


@pytest.mark.slow
def test_postgresql(tmp_path: Path, provider: ScriptedProvider, postgres: PostgresServer) -> None:
    first, second = postgres.new_database(), postgres.new_database()
    programs = {postgres_programs()}
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    gateways = []
    for number, database in enumerate((first, second)):
        folder = tmp_path / str(number)
        folder.mkdir()
        gateways.append(GatewayProcess(folder, config_for(provider.url), DATABASE_URL=database))
    try:
        gateways[0].start()
        assert gateways[0].ask("before", user="ann").status == 200
        provider.plays([text("going on"), hang()])
        with gateways[0].stream("hi", user="bob") as stream:
            stream.read1()
            run(of_the_page("pg_dump"), tmp_path, PATH=path, DATABASE_URL=first)
        run(of_the_page("pg_restore"), tmp_path, PATH=path, DATABASE_URL=second)
        gateways[1].start()
        provider.reset()
        remembers(gateways[1], provider)
        wait_until(lambda: states(postgres, second) == {"finished", "interrupted"}, 60, "end of the run")
    finally:
        for gateway in gateways:
            gateway.stop()


def states(postgres: PostgresServer, url: str) -> set[str]:
    return {state for (state,) in postgres.execute("SELECT state FROM runs", url.rpartition("/")[2])}
