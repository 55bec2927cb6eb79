"""Two workers and more, with PostgreSQL and Redis: whichever of them answers, it is one gateway."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.client.frames import Frame
from tests.support.cluster import Cluster
from tests.support.gateway import TOKEN, Answer, config_for
from tests.support.operator import Operator, operator
from tests.support.provider import ScriptedProvider, done, finish, text, wait_for, wait_until
from tests.support.servers import PostgresServer, RedisServer

AUTH = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def cluster(
    _shared_provider: ScriptedProvider,
    postgres: PostgresServer,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    folder, config = tmp_path_factory.mktemp("cluster"), config_for(_shared_provider.url)
    config["gateway"]["auth"]["rateLimit"] = {"maxAttempts": 10}
    with Cluster(folder, config, postgres, redis_server) as cluster:
        yield cluster
        assert cluster.stop() == [0, 0], [host.log for host in cluster.hosts]


def test_a_session_is_the_same_at_every_worker(cluster: Cluster, provider: ScriptedProvider) -> None:
    for number in range(8):
        host = cluster.hosts[number % 2]
        assert host.ask(f"turn {number}", user="one").text == f"echo: turn {number}"
    asked = [content for role, content in provider.messages() if role == "user"]
    assert asked == [f"turn {number}" for number in range(8)]


def test_metrics_are_of_all_workers_of_a_host(cluster: Cluster, provider: ScriptedProvider) -> None:
    host = cluster.hosts[0]
    name = 'openclaw_runs_total{agent="beta",outcome="finished",source="http"}'
    for number in range(12):
        assert host.ask(f"turn {number}", model="openclaw:beta").status == 200
    assert [host.metric(name) for _ in range(8)] == [12.0] * 8


def test_log_lines_are_of_all_workers(cluster: Cluster, provider: ScriptedProvider) -> None:
    ids = [f"for-the-log-{number}" for number in range(8)]
    for number, request_id in enumerate(ids):
        body = {"messages": [{"role": "user", "content": "hi"}]}
        assert cluster.hosts[number % 2].chat(body, X_Request_Id=request_id).status == 200

    def found() -> set[str]:
        with operator(cluster.hosts[0]) as client:
            lines = client.call("logs.tail", {"limit": 5000, "maxBytes": 1_000_000})["lines"]
        return {one for one in ids if any(one in line for line in lines)}

    wait_until(lambda: found() == set(ids), 30, "all lines")


def test_clients_of_all_hosts_see_the_same_events_of_a_run(
    cluster: Cluster, provider: ScriptedProvider, redis_server: RedisServer
) -> None:
    def attending() -> int:
        """How many workers are told of the runs of others: those with clients."""
        return int(redis_server.client().pubsub_numsub("openclaw:runs")[0][1])

    wait_until(lambda: attending() == 0, 60, "leaving of earlier clients")
    with operator(cluster.hosts[0]) as first, operator(cluster.hosts[1]) as second:
        wait_until(lambda: attending() == 2, 60, "subscriptions")
        answers = [cluster.hosts[number % 2].ask(f"seen {number}", user="watched") for number in range(6)]
        assert [one.text for one in answers] == [f"echo: seen {number}" for number in range(6)]
        seen = [events_of_runs(client, [one.json["id"] for one in answers]) for client in (first, second)]
    for run_id, events in seen[0].items():
        assert steps(events) == steps(seen[1][run_id])


def steps(events: list[Frame]) -> list[tuple[str, ...]]:
    """What is told of a run, in order. In how many pieces its text comes is each worker's own."""
    numbers = [one["seq"] for one in events if "stream" in one]
    assert numbers == sorted(set(numbers))
    told = [("agent", one["data"]["phase"]) for one in events if one.get("stream") == "lifecycle"]
    text = "".join(one["data"]["delta"] for one in events if one.get("stream") == "assistant")
    last = events[-1]
    return [*told, ("text", text), ("chat", last["state"], str(last["message"]["content"]))]


def events_of_runs(client: Operator, run_ids: list[str]) -> dict[str, list[Frame]]:
    """The payloads of `chat` and `agent` events of these runs, once each has had its last one.

    Others may come between: a client that has just connected may still be told of the runs before.
    """
    found: dict[str, list[Frame]] = {run_id: [] for run_id in run_ids}
    ends = 0
    while ends < len(found):
        frame = client.receive(60)
        if frame.get("event") in ("chat", "agent") and frame["payload"]["runId"] in found:
            found[frame["payload"]["runId"]].append(frame["payload"])
            ends += frame["payload"].get("state") == "final"
    return found


def test_presence_has_the_connections_of_all_workers(cluster: Cluster) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(operator(cluster.hosts[number % 2])) for number in range(8)]

        def seen(client: Operator) -> list[str]:
            return [row["reason"] for row in client.call("system-presence")]

        for client in clients:
            wait_until(lambda client=client: seen(client).count("connect") == 8, 60, "all connections")
            assert seen(client).count("self") == 1
        clients[0].socket.drop()
        wait_until(lambda: seen(clients[1]).count("connect") == 7, 60, "one less")


def test_wrong_credentials_are_counted_by_all_workers(cluster: Cluster) -> None:
    """From one address, beyond what a single worker would allow."""

    def guess(number: int) -> int:
        return (
            cluster.hosts[number % 2]
            .request(
                "GET",
                "/v1/models",
                headers={"Authorization": "Bearer wrong", "X-Forwarded-For": "192.0.2.77"},
            )
            .status
        )

    statuses = [guess(number) for number in range(24)]
    assert statuses[:8] == [401] * 8
    assert statuses[-4:] == [429] * 4, "four workers that count alone allow forty"
    assert cluster.hosts[0].ask("hello").status == 200


def test_a_run_is_followed_elsewhere_from_its_first_moment(
    cluster: Cluster, provider: ScriptedProvider
) -> None:
    body = {"background": True, "messages": [{"role": "user", "content": "hello"}]}
    for number in range(20):
        accepted = cluster.hosts[number % 2].chat(body)
        assert accepted.status == 202
        path = f"/v1/runs/{accepted.json['id']}/events"
        events = cluster.hosts[1 - number % 2].request("GET", path, headers=AUTH)
        assert events.status == 200, events.body
        assert b"hello" in events.body
        assert b"id: 1\n" in events.body


def test_redis_is_restarted_while_runs_are_followed(
    cluster: Cluster, provider: ScriptedProvider, redis_server: RedisServer
) -> None:
    """Each follower gets each event once, in order, to the end; what needs Redis meanwhile is told so."""
    go_on = threading.Event()
    pieces = [f"piece-{number} " for number in range(50)]
    provider.always([*map(text, pieces[:25]), wait_for(go_on), *map(text, pieces[25:]), finish(), done()])
    body = {"background": True, "messages": [{"role": "user", "content": "hello"}]}
    runs = [cluster.hosts[number % 2].chat(body).json["id"] for number in range(12)]
    answers: dict[str, Answer] = {}

    def follow(number: int, run_id: str) -> None:
        path = f"/v1/runs/{run_id}/events"
        answers[run_id] = cluster.hosts[1 - number % 2].request("GET", path, headers=AUTH, timeout=120)

    followers = [threading.Thread(target=follow, args=one) for one in enumerate(runs)]
    for one in followers:
        one.start()
    provider.wait_for_requests(12, 60)
    followed = [f"openclaw:events:{run_id}".encode() for run_id in runs]
    wait_until(lambda: {*followed} <= {*redis_server.client().pubsub_channels()}, 60, "followers")
    redis_server.stop()
    unknown = {cluster.hosts[n % 2].request("GET", "/v1/runs/unknown", headers=AUTH).status for n in range(8)}
    assert unknown <= {404, 503}
    go_on.set()
    assert cluster.hosts[0].ask("hello").status == 200  # a run of a worker's own
    redis_server.start()
    for one in followers:
        one.join(120)
    for run_id in runs:
        assert answers[run_id].status == 200, answers[run_id].body
        body_of = answers[run_id].body
        ids = [int(line[4:]) for line in body_of.split(b"\n") if line.startswith(b"id: ")]
        assert ids == list(range(1, len(ids) + 1))
        assert [body_of.count(piece.strip().encode() + b" ") for piece in pieces] == [1] * 50
        assert b"service_unavailable" not in body_of
