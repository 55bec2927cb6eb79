"""Requests that are sent again to another host: one database and one Redis, two gateways."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.gateway import Answer, GatewayProcess, config_for, read_until
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider, done, finish, hang, says, text, usage, wait_for
from tests.support.servers import PostgresServer, RedisServer


@pytest.fixture
def cluster(
    _shared_provider: ScriptedProvider,
    postgres: PostgresServer,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with Cluster(folder, config_for(_shared_provider.url), postgres, redis_server, workers=1) as cluster:
        yield cluster


def send(gateway: GatewayProcess, key: str, **more: Any) -> Answer:
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}], **more}
    return gateway.chat(body, **{"Idempotency-Key": key})


def test_a_key_holds_on_every_host(cluster: Cluster, provider: ScriptedProvider) -> None:
    here, there = cluster.hosts[:2]
    gate = threading.Event()
    provider.plays([text("on"), wait_for(gate), text("ce"), finish(), usage(5, 2), done()])
    key = str(uuid.uuid4())
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(send, cluster.hosts[number % 2], key, user="all") for number in range(8)]
        provider.wait_for_requests(1)
        headers = {"Idempotency-Key": key}
        with (
            here.stream("hi", headers=headers, user="all") as one,
            there.stream("hi", headers=headers, user="all") as other,
        ):
            for stream in (one, other):
                read_until(stream, b'"content":"on"')
            gate.set()
            assert all(stream.read().endswith(b"data: [DONE]\n\n") for stream in (one, other))
        found = [answer.result() for answer in answers]
    assert {answer.status for answer in found} == {200}
    assert [answer.json for answer in found] == [found[0].json] * 8
    assert found[0].text == "once"
    assert send(there, key, user="all").json == send(here, key, user="all").json == found[0].json
    assert send(there, key, user="all", temperature=1).status == 409
    assert len(provider.requests) == 1

    # By WebSocket: the key is the run's id.
    provider.plays(says("by websocket"))
    run_id = str(uuid.uuid4())
    sent = {"message": "hi", "sessionKey": "ws", "idempotencyKey": run_id}
    with operator(here) as client, operator(there) as away:
        assert client.call("chat.send", sent)["status"] == "started"
        client.until("chat", runId=run_id, state="final")
        assert away.call("chat.send", sent) == {"runId": run_id, "status": "ok"}
        assert away.call("agent", sent)["result"]["payloads"][0]["text"] == "by websocket"


def test_a_host_that_dies_leaves_its_keys_to_the_other(cluster: Cluster, provider: ScriptedProvider) -> None:
    here, there = cluster.hosts[:2]
    provider.plays([text("half"), hang()], says("whole"))
    key = str(uuid.uuid4())
    with here.stream("hi", headers={"Idempotency-Key": key}, user="dies") as stream:
        read_until(stream, b"half")
        here.kill()
    again = send(there, key, user="dies")
    assert (again.status, again.text) == (200, "whole"), again.body
    assert send(there, key, user="dies").json == again.json
    with operator(there) as client:
        found = client.call("sessions.resolve", {"label": "dies"})["key"]
        messages = client.call("chat.history", {"sessionKey": found})["messages"]
    assert [(one["role"], one["content"][0]["text"]) for one in messages] == [
        ("user", "hi"),
        ("assistant", "whole"),
    ]
