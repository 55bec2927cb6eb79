"""A gateway without sessions, for tests that share one."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.support.gateway import GatewayProcess
from tests.support.operator import operator
from tests.support.provider import PATIENCE, wait_until

_TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'runs'"
_RUNNING = (
    "SELECT DISTINCT sessions.key FROM runs JOIN sessions ON sessions.id = runs.session "
    "WHERE runs.state = 'running'"
)


def delete_sessions(gateway: GatewayProcess) -> None:
    """Delete all sessions of a running gateway, the main ones too, and end what runs in them; wait for the
    end of runs without a session.

    So no test depends on what another one has left in a session of the same name. A gateway makes the file
    and its tables when it first needs them.
    """
    _delete_stored(gateway)
    wait_until(lambda: not _active_runs(gateway), PATIENCE, "end of the runs of the test before")


def _active_runs(gateway: GatewayProcess) -> int:
    count: int = gateway.request("GET", "/ready?verbose").json["activeRuns"]
    return count


def _delete_stored(gateway: GatewayProcess) -> None:
    path = gateway.state / "gateway.sqlite"
    if not path.exists():
        return
    with closing(sqlite3.connect(path, PATIENCE)) as database:
        if database.execute(_TABLE).fetchone() is None:
            return
        wait_until(lambda: not _end_runs(gateway, database), PATIENCE, "end of the runs of the test before")
        with database:
            database.execute("PRAGMA foreign_keys=ON")
            database.execute("PRAGMA synchronous=OFF")
            database.execute("DELETE FROM sessions")


def _end_runs(gateway: GatewayProcess, database: sqlite3.Connection) -> bool:
    """Ask the gateway to end the runs that go on. False if there are none."""
    keys = [key for (key,) in database.execute(_RUNNING)]
    if keys:
        with operator(gateway) as client:
            for key in keys:
                client.response(client.request("sessions.reset", {"key": key}))
    return bool(keys)
