"""Approvals and questions of one worker's run, at clients of another one; and what is left without Redis."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from tests.support.agent_turns import calls, result
from tests.support.approvals import HEADERS, ask_beside, plays
from tests.support.approvals import result as told
from tests.support.cluster import Cluster
from tests.support.gateway import Answer, GatewayProcess, agent_config
from tests.support.operator import operator
from tests.support.provider import PATIENCE, ScriptedProvider, says, wait_until
from tests.support.servers import PostgresServer, RedisServer

COLOUR = {
    "id": "colour",
    "header": "Colour",
    "question": "Which?",
    "options": [{"label": "Red"}, {"label": "Blue"}],
}


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def _cluster(
    _shared_provider: ScriptedProvider,
    postgres: PostgresServer,
    own_redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "work").mkdir()
    config = agent_config(_shared_provider.url, workspace=str(folder / "work"))
    with Cluster(folder, config, postgres, own_redis, workers=1) as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster: Cluster, provider: ScriptedProvider) -> Cluster:
    return _cluster


def approvals(host: GatewayProcess, count: int) -> list[str]:
    """The ids of what waits, once there are so many."""

    def found() -> list[str]:
        waiting = host.request("GET", "/v1/approvals", headers=HEADERS).json["approvals"]
        return [one["id"] for one in waiting]

    wait_until(lambda: len(found()) == count, PATIENCE, f"{count} approvals")
    return found()


def ends_with(answer: Future[Answer], text: str) -> None:
    assert answer.result(PATIENCE).text == text, answer.result(0).body


def test_a_client_of_another_host_approves(cluster: Cluster, provider: ScriptedProvider) -> None:
    here, there = cluster.hosts
    plays(provider, "uname -s > out.txt; cat out.txt")
    with operator(there, scopes=["operator.approvals"]) as approver, operator(here) as watcher:
        answer = ask_beside(here, X_OpenClaw_Approvals="wait")
        asked = approver.until("exec.approval.requested")
        waiting = approver.request("exec.approval.waitDecision", {"id": asked["id"]})
        decision = {"id": asked["id"], "decision": "allow-once"}
        assert approver.call("exec.approval.resolve", decision) == {"ok": True}
        assert approver.answer(waiting)["payload"]["decision"] == "allow-once"
        assert watcher.until("exec.approval.resolved")["id"] == asked["id"]
        ends_with(answer, "Done.")
    assert told(provider) == "Linux"


def test_somebody_approves_over_http_at_another_host(cluster: Cluster, provider: ScriptedProvider) -> None:
    here, there = cluster.hosts
    plays(provider, "uname -s > out.txt; cat out.txt")
    answer = ask_beside(here, X_OpenClaw_Approvals="wait")
    (approval_id,) = approvals(there, 1)
    decided = there.request("POST", f"/v1/approvals/{approval_id}", {"decision": "deny"}, HEADERS)
    assert decided.json["status"] == "denied"
    ends_with(answer, "Done.")
    assert approvals(here, 0) == []
    again = here.request("POST", f"/v1/approvals/{approval_id}", {"decision": "allow-once"}, HEADERS)
    assert again.status in (400, 409)


def test_a_client_of_another_host_answers_a_question(cluster: Cluster, provider: ScriptedProvider) -> None:
    here, there = cluster.hosts
    provider.plays(calls("ask_user", {"questions": [COLOUR]}), says("Thank you."))
    with operator(there) as person:
        with operator(here) as client:
            params = {"sessionKey": "asking", "message": "Go", "idempotencyKey": "asks-elsewhere"}
            client.call("chat.send", params)
            asked = person.until("question.requested")
            assert person.call("question.list")["questions"] == [asked]
            person.call("question.resolve", {"id": asked["id"], "answers": {"colour": ["Red"]}})
            client.until("chat", state="final", runId="asks-elsewhere")
        over = person.events("question.resolved") or [person.until("question.resolved")]
        assert [one["id"] for one in over] == [asked["id"]]
    assert result(provider)["answers"] == {"colour": ["Red"]}


def test_without_redis_an_approval_is_found_within_a_second(
    cluster: Cluster, provider: ScriptedProvider, own_redis: RedisServer
) -> None:
    here, there = cluster.hosts
    plays(provider, "uname -s > out.txt; cat out.txt")
    answer = ask_beside(here, X_OpenClaw_Approvals="wait")
    (approval_id,) = approvals(there, 1)
    own_redis.stop()
    try:
        wait_until(lambda: not_ready(there) == ["redis"], PATIENCE, "what is missing")
        decision = {"decision": "allow-once"}
        decided = there.request("POST", f"/v1/approvals/{approval_id}", decision, HEADERS)
        assert decided.json["status"] == "allowed"
        ends_with(answer, "Done.")
    finally:
        own_redis.start()
    for host in (here, there):
        wait_until(lambda host=host: not_ready(host) == [], PATIENCE, "readiness")


def not_ready(host: GatewayProcess) -> list[str]:
    failing: list[str] = host.request("GET", "/ready").json["failing"]
    return failing


def test_a_killed_hosts_approval_is_over(cluster: Cluster, provider: ScriptedProvider) -> None:
    here, there = cluster.hosts
    plays(provider, "uname -s > out.txt; cat out.txt")
    answer = ask_beside(here, X_OpenClaw_Approvals="wait")
    (approval_id,) = approvals(there, 1)
    here.kill()
    try:
        assert answer.exception(PATIENCE) is not None
        assert approvals(there, 0) == []
        over = there.request("GET", f"/v1/approvals/{approval_id}", headers=HEADERS).json
        assert over["status"] == "cancelled"
    finally:
        here.start()
