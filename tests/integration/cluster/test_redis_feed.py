"""WebSocket clients of one worker see the runs of another one, if they want to, and it follows no others."""

from __future__ import annotations

import uuid

import pytest

from app.cluster.redis_bus import RedisBus
from app.events.log import EventLog
from app.events.types import RunFinished, RunStarted, TextDelta
from app.messages import Usage
from app.ws import connections as registry
from app.ws.connections import Connections
from app.ws.feed import Feed
from tests.support.provider import wait_until
from tests.support.redis_workers import RedisWorker, redis_workers
from tests.support.servers import RedisServer
from tests.unit.ws.test_feed import FakeConnection


class FakeRuns:
    """`RunService` as the feed knows it."""

    def __init__(self, bus: RedisBus) -> None:
        self.bus = bus

    def get(self, _run_id: str) -> None:
        return None


class OtherRun:
    """A run of another worker."""

    def __init__(self, worker: RedisWorker, session: str) -> None:
        self.id, self.log, self._bus = uuid.uuid4().hex, EventLog(), worker.bus
        self.log.append(RunStarted(self.id, "main", session, 1.0))
        self._bus.publish(self.id, self.log)

    def say(self, text: str) -> None:
        self.log.append(TextDelta(text))

    def end(self) -> None:
        self.log.append(RunFinished("stop", Usage()))
        self._bus.close(self.id)


def connected(worker: RedisWorker) -> Connections:
    connections = Connections()
    connections._ticking = True  # no tick here
    Feed(connections, FakeRuns(worker.bus))  # type: ignore[arg-type]
    return connections


def new_client(connections: Connections, *sessions: str) -> FakeConnection:
    client = FakeConnection(uuid.uuid4().hex)
    client.watched.update(sessions)
    connections.add(client)  # type: ignore[arg-type]
    return client


def wait_final(client: FakeConnection) -> None:
    wait_until(lambda: client.payloads and client.payloads[-1].get("state") == "final", 60, "the end")


def test_clients_see_the_runs_of_other_workers(redis_server: RedisServer) -> None:
    with redis_workers(redis_server.url(5)) as (here, there):
        connections = connected(there)
        client = new_client(connections)
        there.wait_subscribed("runs")
        run = OtherRun(here, "agent:main:x")
        run.say("one ")
        wait_until(lambda: client.texts("assistant"), 60, "text")
        run.say("two")
        run.end()
        wait_final(client)
        assert "".join(one["delta"] for one in client.texts("assistant")) == "one two"
        short = OtherRun(here, "agent:main:x")
        short.say("three")
        short.end()
        wait_until(lambda: client.payloads[-1].get("runId") == short.id, 60, "the next run")
        wait_final(client)
        connections.remove(client)  # type: ignore[arg-type]
        wait_until(lambda: not there.gets("runs"), 60, "the end of the subscription")


def test_a_run_that_nobody_here_wants_is_not_followed(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "BROADCAST_LIMIT", 0)
    with redis_workers(redis_server.url(5)) as (here, there):
        connections = connected(there)
        client = new_client(connections, "agent:main:other")
        there.wait_subscribed("runs")
        run = OtherRun(here, "agent:main:x")
        run.say("one ")
        wait_until(there.bus.others, 60, "announcement")
        assert not there.gets("events", run.id)
        client.watched.add("agent:main:x")
        connections.on_interest("agent:main:x")
        there.wait_subscribed("events", run.id)
        wait_until(lambda: there.bus.others()[0][1].length == 2, 60, "the events so far")
        run.say("two")
        wait_until(lambda: client.texts("assistant"), 60, "text")
        assert client.texts("assistant")[0] == {"text": "one two", "delta": "two"}
        client.watched.clear()
        run.say(" three")
        wait_until(lambda: not there.gets("events", run.id), 60, "the end of the subscription")
        run.end()
        wait_until(lambda: not there.bus.others(), 60, "the end of the run")
