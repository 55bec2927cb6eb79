"""Runs of one host that are looked up, followed, waited for and stopped on another one."""

from __future__ import annotations

import threading
import time

from tests.support.cluster import Cluster
from tests.support.gateway import GatewayProcess, read_until
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider, hang, says, text, wait_for
from tests.support.runs import (
    HEADERS,
    all_events,
    cancel,
    ended,
    events_of,
    following,
    listed,
    reached,
    shown,
    start,
)


def test_a_run_is_shown_and_followed_on_the_other_host(
    here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    provider.plays([text("begun"), wait_for(gate), *says(" and done")])
    run_id = start(here, "hi", user="shown")
    reached(here, run_id, lambda run: run["lastEventId"] == 2)
    run = reached(there, run_id, lambda run: run["lastEventId"] == 2)
    assert (run["state"], run["phase"], run["source"]) == ("running", "model", "http")
    assert [one["id"] for one in listed(there, "?state=running")["runs"]] == [run_id]
    with following(there, run_id) as stream:
        first = events_of(stream, 2)
        gate.set()
        rest = events_of(stream)
    assert first + rest == all_events(here, run_id) == all_events(there, run_id)
    assert all_events(there, run_id, "?after=2") == rest
    assert ended(there, run_id)["answer"] == ended(here, run_id)["answer"]
    assert ended(there, run_id)["answer"]["choices"][0]["message"]["content"] == "begun and done"


def test_runs_are_cancelled_from_the_other_host(
    here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([text("begun"), hang()])
    first = start(here, "first", user="cancelled")
    provider.wait_for_requests(1)
    second = start(here, "second", user="cancelled")
    assert shown(there, second).json["state"] == "queued"
    assert cancel(there, second).json["state"] == "cancelled"
    assert cancel(there, first).json["state"] == "cancelled"
    provider.wait_for_leaving()
    assert cancel(there, first).json["state"] == "cancelled"
    assert shown(here, first).json["error"]["code"] == "run_aborted"


def test_a_stateless_run_is_its_callers_on_every_host(
    here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([text("begun"), hang()])
    with here.stream("hi") as stream:
        run_id = stream.headers["X-OpenClaw-Run-Id"]
        read_until(stream, b"begun")
        assert shown(there, run_id).json["state"] == "running"
        assert run_id in [one["id"] for one in listed(there)["runs"]]
        assert cancel(there, run_id).json["state"] == "cancelled"
        assert stream.read().endswith(b"data: [DONE]\n\n")


def test_a_session_is_stopped_and_reset_from_the_other_host(
    here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    key = "agent:main:stopped"
    with operator(here) as one, operator(there) as other:
        for number, method in enumerate(("chat.abort", "sessions.reset", "sessions.delete")):
            provider.plays([text("begun"), hang()])
            run_id = f"run-{number}"
            one.call("chat.send", {"sessionKey": key, "message": "hi", "idempotencyKey": run_id})
            provider.wait_for_requests(number + 1)
            again = {"sessionKey": key, "message": "hi", "idempotencyKey": run_id}
            assert other.call("chat.send", again) == {"runId": run_id, "status": "in_flight"}
            rows = other.call("sessions.list")["sessions"]
            assert [row["hasActiveRun"] for row in rows if row["key"] == key] == [True]
            assert other.call("chat.history", {"sessionKey": key})["inFlightRun"]["runId"] == run_id
            if method == "chat.abort":
                answer = other.call(method, {"sessionKey": key, "runId": run_id})
                assert answer == {"ok": True, "aborted": True, "runIds": [run_id]}
            else:
                assert other.call(method, {"key": key})["ok"]
            provider.wait_for_leaving(number + 1)
            assert other.call("chat.history", {"sessionKey": key}).get("inFlightRun") is None


def test_a_run_is_waited_for_on_the_other_host(
    here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    provider.plays([wait_for(gate), *says("done")], [hang()])
    with operator(here) as one, operator(there) as other:
        for run_id in ("good", "bad"):
            params = {"sessionKey": f"agent:main:{run_id}", "message": "hi", "idempotencyKey": run_id}
            one.call("chat.send", params)
            provider.wait_for_requests(1 if run_id == "good" else 2)
        waiting = other.request("agent.wait", {"runId": "good", "timeoutMs": 60_000})
        late = other.call("agent.wait", {"runId": "bad", "timeoutMs": 100})
        assert late == {"runId": "bad", "status": "timeout"}
        gate.set()
        answer = other.response(waiting)["payload"]
        assert answer["status"] == "ok"
        assert answer["endedAt"] >= answer["startedAt"]
        one.call("chat.abort", {"sessionKey": "agent:main:bad"})
        answer = other.call("agent.wait", {"runId": "bad", "timeoutMs": 60_000})
        assert (answer["status"], "stopped" in answer["error"]) == ("error", True)


def test_who_follows_on_another_host_keeps_a_run_and_ends_it_by_leaving(
    here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    provider.plays([text("begun"), wait_for(gate), text("more"), hang()])
    with here.stream("hi") as stream:
        run_id = stream.headers["X-OpenClaw-Run-Id"]
        read_until(stream, b"begun")
        reader = following(there, run_id)
        events = reader.__enter__()
        events_of(events, 2)
    reached(there, run_id, lambda run: run["state"] == "running")
    gate.set()
    assert events_of(events, 1)[0].data == {"text": "more"}
    assert provider.left == 0
    reader.__exit__(None, None, None)
    provider.wait_for_leaving()
    assert ended(here, run_id)["state"] == "cancelled"


def test_a_repetition_on_another_host_keeps_the_run(
    here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    provider.plays([text("begun"), wait_for(gate), *says(" and done")])
    key = {"Idempotency-Key": "again-elsewhere"}
    with here.stream("hi", headers=key) as first:
        read_until(first, b"begun")
        again = there.stream("hi", headers=key)
        second = again.__enter__()
        read_until(second, b"begun")
    with here.stream("hi", headers=key) as third:  # it goes on, for the second one's sake
        read_until(third, b"begun")
    gate.set()
    assert second.read().endswith(b"data: [DONE]\n\n")
    again.__exit__(None, None, None)
    assert len(provider.requests) == 1


def test_a_host_that_stops_leaves_followers_to_the_others(
    here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    provider.plays([text("begun"), wait_for(gate), *says(" and done")])
    run_id = start(here)
    with following(there, run_id) as stream:
        first = events_of(stream, 2)
        stopping = time.monotonic()
        there.terminate()
        assert events_of(stream) == []
    assert there.wait(30) == 0
    assert time.monotonic() - stopping < 20  # not for as long as a run may take
    gate.set()
    rest = all_events(here, run_id, Last_Event_ID=str(first[-1].id))
    assert rest[-1].kind == "run.end"
    there.start()


def test_without_redis_what_needs_it_says_so(
    cluster: Cluster, here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    done = start(here, "done")
    ended(here, done)
    provider.plays([text("begun"), wait_for(gate), *says(" and done")])
    run_id = start(here, "hi", user="away")
    provider.wait_for_requests(2)
    try:
        cluster.redis.stop()
        events = there.request("GET", f"/v1/runs/{run_id}/events", headers=HEADERS)
        for answer in (cancel(there, run_id), events):
            assert (answer.status, answer.error["code"]) == (503, "service_unavailable")
        assert shown(there, run_id).json["state"] == "running"  # the database says so
        assert shown(there, done).json["answer"]["choices"][0]["message"]["content"] == "echo: done"
        assert shown(here, run_id).json["state"] == "running"
        assert cancel(here, run_id).json["state"] == "cancelled"
    finally:
        gate.set()
        cluster.redis.start()
    other = start(here, "again", user="away")
    assert ended(there, other)["state"] == "completed"
