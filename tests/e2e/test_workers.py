"""How many workers there are, and what is said where there could not be so many."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, wait_until

EX_CONFIG = 78
START_SECONDS = 60


def workers(gateway: GatewayProcess) -> set[int]:
    return {child.pid for child in psutil.Process(gateway.pid).children()}


@pytest.mark.parametrize("arguments", [("-w", "2"), ("--workers=3",)])
def test_the_command_line_asks_for_more_than_can_share_their_work(
    tmp_path: Path, provider: ScriptedProvider, arguments: tuple[str, ...]
) -> None:
    gateway = GatewayProcess(tmp_path, config_for(provider.url))
    assert gateway.spawn(*arguments).wait(START_SECONDS) == EX_CONFIG
    assert "Missing: DATABASE_URL" in gateway.log
    assert "REDIS_URL" in gateway.log
    assert "Set WEB_CONCURRENCY=1" in gateway.log
    assert "heroku addons:create heroku-postgresql" in gateway.log
    assert "Listening at" not in gateway.log
    assert "Traceback" not in gateway.log


def test_the_command_line_takes_precedence_over_the_environment(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    """Heroku's buildpack sets the variable by itself."""
    gateway = GatewayProcess(
        tmp_path, config_for(provider.url), WEB_CONCURRENCY="4", GUNICORN_CMD_ARGS="--workers=1"
    )
    gateway.start()
    try:
        assert len(workers(gateway)) == 1
    finally:
        gateway.stop()


def test_a_signal_cannot_add_a_worker_that_would_share_nothing(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    before = workers(gateway)
    os.kill(gateway.pid, signal.SIGTTIN)
    wait_until(lambda: "the number of workers stays as it is" in gateway.log, 20, "refusal")
    os.kill(gateway.pid, signal.SIGTTIN)
    wait_until(lambda: gateway.log.count("the number of workers stays as it is") == 2, 20, "refusal")
    assert workers(gateway) == before
    assert gateway.ask("hi").status == 200


def test_a_worker_that_takes_another_ones_place_keeps_the_databases_of_the_start(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """The file may name another one since: only a restart moves all workers to it."""
    gateway = start_gateway()
    assert gateway.ask("first", user="ann").status == 200
    elsewhere = {"storage": {"url": f"sqlite:///{tmp_path / 'other.sqlite'}"}}
    gateway.write_config({**config_for(provider.url), **elsewhere})
    wait_until(lambda: "restart the gateway to apply these changes" in gateway.log, 20, "notice")
    (worker,) = workers(gateway)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: workers(gateway) not in (set(), {worker}), 60, "another worker")
    assert gateway.ask("second", user="ann").status == 200
    assert ("user", "first") in provider.messages()
    assert not (tmp_path / "other.sqlite").exists()
