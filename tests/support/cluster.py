"""Several gateways, each of several workers, with one PostgreSQL and one Redis: as many hosts would be."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import psutil

from tests.support.gateway import GatewayProcess
from tests.support.provider import wait_until
from tests.support.servers import PostgresServer, RedisServer

START_SECONDS = 90.0
STOP_SECONDS = 60.0


class Cluster:
    """`hosts` gateways of `workers` workers each; `start` waits until all of them serve."""

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        postgres: PostgresServer,
        redis: RedisServer,
        hosts: int = 2,
        workers: int = 2,
        app: str = "wsgi:app",
        **environment: str,
    ) -> None:
        self.postgres, self.redis, self.workers = postgres, redis, workers
        self.database_url = postgres.new_database()
        servers = {"DATABASE_URL": self.database_url, "REDIS_URL": redis.url()}
        self.hosts: list[GatewayProcess] = []
        for number in range(hosts):
            own = folder / f"host-{number}"
            own.mkdir()
            count = {"WEB_CONCURRENCY": str(workers)}
            self.hosts.append(GatewayProcess(own, config, app=app, **servers, **count, **environment))

    def start(self) -> Self:
        for host in self.hosts:
            host.start()
        wait_until(
            lambda: all(len(self.worker_pids(host)) == self.workers for host in self.hosts),
            START_SECONDS,
            "start of all workers",
        )
        return self

    def stop(self) -> list[int]:
        """SIGTERM to all; their exit codes."""
        for host in self.hosts:
            host.terminate()
        # A second SIGTERM would end a process that is past its handlers.
        return [host.wait(STOP_SECONDS) for host in self.hosts]

    def kill(self) -> None:
        for host in self.hosts:
            host.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        for host in self.hosts:
            host.stop()

    def worker_pids(self, host: GatewayProcess) -> Sequence[int]:
        return [child.pid for child in psutil.Process(host.pid).children() if is_gunicorn(child)]

    def kill_a_worker(self, chance: random.Random) -> int | None:
        """SIGKILL one; its pid. None: there is none at the moment."""
        pids = self.worker_pids(chance.choice(self.hosts))
        if not pids:
            return None
        pid = chance.choice(pids)
        os.kill(pid, signal.SIGKILL)
        return pid

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Of the gateways' database."""
        return self.postgres.execute(statement, self.database_url.rpartition("/")[2])


def is_gunicorn(process: psutil.Process) -> bool:
    try:
        return "gunicorn" in " ".join(process.cmdline())
    except psutil.Error:
        return False
