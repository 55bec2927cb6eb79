"""Runs that outlive their connection: started in the background, followed, looked up, cancelled."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support import approvals
from tests.support.approvals import approving_gateway, decide, pending
from tests.support.gateway import TOKEN, GatewayProcess, config_for, read_until
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider, hang, respond, says, text, wait_for, wait_until
from tests.support.proxy_users import proxy_config
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

PIECES = [f"piece {number} " for number in range(40)]


def slow_answer(*gates: threading.Event) -> list[Any]:
    """An answer in pieces, with a gate after each part of them."""
    steps: list[Any] = []
    share = len(PIECES) // (len(gates) + 1)
    for number, gate in enumerate(gates):
        steps += [*map(text, PIECES[number * share : (number + 1) * share]), wait_for(gate)]
    return [*steps, *says(*PIECES[len(gates) * share :])]


# In the background


def test_a_run_in_the_background_is_read_by_its_id(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    provider.plays([wait_for(gate), *says("It is", " 4.")])
    run_id = start(gateway, "2 + 2?", user="later")
    run = reached(gateway, run_id, lambda run: run["state"] == "running")
    assert run["answer"] is None
    assert (run["phase"], run["endedAt"], run["cost"]) == ("model", None, None)
    gate.set()
    run = ended(gateway, run_id)
    assert (run["state"], run["phase"], run["finishReason"]) == ("completed", "ended", "stop")
    assert run["usage"]["total_tokens"] == 9
    assert run["createdAt"] <= run["endedAt"]
    answer = run["answer"]
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "It is 4."}
    assert (answer["id"], answer["object"]) == (run_id, "chat.completion")
    gateway.ask("and 3 + 3?", user="later")
    assert provider.messages()[1:] == [
        ("user", "2 + 2?"),
        ("assistant", "It is 4."),
        ("user", "and 3 + 3?"),
    ]


def test_a_run_without_a_session_is_stored_for_itself(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    run_id = start(gateway, "alone")
    assert ended(gateway, run_id)["answer"]["choices"][0]["message"]["content"] == "echo: alone"
    sessions = gateway.request("GET", "/v1/sessions", headers=HEADERS).json["sessions"]
    assert sessions == []


def test_a_background_run_answers_also_after_a_restart(
    start_gateway: StartGateway, provider: ScriptedProvider
) -> None:
    gateway = start_gateway()
    run_id = start(gateway, "remember")
    before = ended(gateway, run_id)
    gateway.stop()
    gateway.start()
    run = shown(gateway, run_id).json
    assert run["answer"] == before["answer"]
    assert run["state"] == "completed"
    assert run["lastEventId"] is None
    gone = gateway.request("GET", f"/v1/runs/{run_id}/events", headers=HEADERS)
    assert (gone.status, gone.error["code"]) == (410, "events_gone")
    assert [one["id"] for one in listed(gateway)["runs"]] == [run_id]
    assert cancel(gateway, run_id).json["state"] == "completed"


def test_a_run_that_a_crash_cut_says_so(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    provider.plays([text("half"), hang()])
    gateway = start_gateway()
    run_id = start(gateway, "hi", user="cut")
    reached(gateway, run_id, lambda run: run["lastEventId"] > 1)
    gateway.kill()
    gateway.start()
    run = ended(gateway, run_id)
    assert run["state"] in ("interrupted", "completed")  # completed, if it was gone on with


@pytest.mark.parametrize(
    ("body", "param"),
    [({"background": "yes"}, "background"), ({"background": True, "stream": True}, "background")],
)
def test_what_cannot_go_on_in_the_background_is_refused(
    gateway: GatewayProcess, provider: ScriptedProvider, body: dict[str, Any], param: str
) -> None:
    answer = gateway.ask("hi", **body)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert provider.requests == []


def test_a_background_run_that_cannot_be_accepted_is_refused_at_once(gateway: GatewayProcess) -> None:
    before = listed(gateway)["runs"]
    answer = gateway.ask("hi", background=True, model="openclaw:nobody")
    assert answer.status in (400, 404)
    assert listed(gateway)["runs"] == before


# Events


def test_all_followers_from_all_positions_get_the_same_events(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    gates = [threading.Event() for _ in range(3)]
    provider.plays(slow_answer(*gates))
    run_id = start(gateway, "count")
    choose = random.Random(7)
    with ThreadPoolExecutor(24) as threads:
        followers = []
        for gate in gates:
            last = reached(gateway, run_id, lambda run: run["lastEventId"] >= 5)["lastEventId"]
            positions = [0, last, last + 3, *(choose.randint(0, last) for _ in range(4))]
            followers += [
                (place, threads.submit(all_events, gateway, run_id, f"?after={place}")) for place in positions
            ]
            gate.set()
        ended(gateway, run_id)
        whole = all_events(gateway, run_id)
        for place, follower in followers:
            assert follower.result(60) == whole[place:]
    assert [one.id for one in whole] == list(range(1, len(whole) + 1))
    assert whole[0].kind == "run.start"
    assert whole[-1].kind == "run.end"
    assert "".join(one.data["text"] for one in whole if one.kind == "text.delta") == "".join(PIECES)


def test_a_follower_that_comes_again_goes_on_where_it_was(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    provider.plays(slow_answer(gate))
    run_id = start(gateway, "count")
    with following(gateway, run_id) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        first = events_of(stream, 7)
    gate.set()
    rest = all_events(gateway, run_id, "?after=2", Last_Event_ID=str(first[-1].id))
    assert first + rest == all_events(gateway, run_id)
    done = gateway.request("GET", f"/v1/runs/{run_id}/events?after={rest[-1].id}", headers=HEADERS)
    assert (done.status, done.body) == (204, b"")


@pytest.mark.parametrize("position", ["x", "-1", "1.5", "9" * 16, "٣"])
def test_a_position_that_is_none_is_refused(gateway: GatewayProcess, position: str) -> None:
    run_id = start(gateway, "hi")
    ended(gateway, run_id)
    for query, headers in (("?after=" + position, {}), ("", {"Last-Event-ID": position})):
        if not position.isascii():
            continue
        answer = gateway.request("GET", f"/v1/runs/{run_id}/events{query}", headers={**HEADERS, **headers})
        assert (answer.status, answer.error["code"]) == (400, "unsupported_value")


def test_a_position_behind_the_end_is_refused(gateway: GatewayProcess) -> None:
    run_id = start(gateway, "hi")
    last = ended(gateway, run_id)["lastEventId"]
    answer = gateway.request("GET", f"/v1/runs/{run_id}/events?after={last + 1}", headers=HEADERS)
    assert answer.status == 400
    assert f"event {last}" in answer.error["message"]


def test_a_failed_run_says_why(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.always([respond(400, {"error": {"message": "no such thing"}})])
    run_id = start(gateway, "hi")
    run = ended(gateway, run_id)
    assert (run["state"], run["answer"]) == ("failed", None)
    assert "no such thing" in run["error"]["message"]
    assert all_events(gateway, run_id)[-1].kind == "run.error"


@pytest.mark.parametrize("keepalive", ["comment", "chunk", "off"])
def test_followers_are_kept_alive(
    start_gateway: StartGateway, provider: ScriptedProvider, keepalive: str
) -> None:
    config = config_for(provider.url)
    config["gateway"]["http"]["sse"] = {"keepalive": keepalive, "keepaliveSeconds": 0.2}
    gateway = start_gateway(config)
    gate = threading.Event()
    provider.plays([text("begun"), wait_for(gate), *says(" and done")])
    run_id = start(gateway)
    with following(gateway, run_id) as stream:
        begun = read_until(stream, b"begun")
        sign = {"comment": b": keepalive\n\n", "chunk": b"event: keepalive\ndata: {}\n\n"}.get(keepalive)
        if sign is not None:
            read_until(stream, sign, 2)
        gate.set()
        rest = stream.read()
    assert begun.startswith(b": keepalive\n\nid: 1\n")
    assert b"event: run.end" in rest
    if keepalive == "off":
        assert b"keepalive" not in rest


# Clients that leave


def test_who_reads_events_keeps_a_run_whose_client_has_left(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    provider.plays([text("begun"), wait_for(gate), *says(" and done")])
    with gateway.stream("hi") as stream:
        run_id = stream.headers["X-OpenClaw-Run-Id"]
        read_until(stream, b"begun")
        follower = following(gateway, run_id)
        events = follower.__enter__()
        events_of(events, 2)
    gate.set()
    try:
        assert events_of(events)[-1].kind == "run.end"
    finally:
        follower.__exit__(None, None, None)


def test_a_run_ends_with_the_last_of_its_readers(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays([text("begun"), hang()])
    with gateway.stream("hi") as stream:
        run_id = stream.headers["X-OpenClaw-Run-Id"]
        read_until(stream, b"begun")
        follower = following(gateway, run_id)
        events_of(follower.__enter__(), 2)
    follower.__exit__(None, None, None)
    provider.wait_for_leaving()
    run = ended(gateway, run_id)
    assert (run["state"], run["error"]["code"]) == ("cancelled", "run_aborted")


def test_a_stream_that_is_to_go_on_is_read_by_its_id(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    provider.plays([text("half"), wait_for(gate), *says(" and half")])
    headers = {"x-openclaw-on-disconnect": "continue"}
    with gateway.stream("hi", headers=headers) as stream:
        run_id = stream.headers["X-OpenClaw-Run-Id"]
        read_until(stream, b"half")
    with following(gateway, run_id) as reader:  # whose leaving ends nothing either
        events_of(reader, 2)
    gate.set()
    assert ended(gateway, run_id)["answer"]["choices"][0]["message"]["content"] == "half and half"


def test_who_follows_a_background_run_does_not_end_it(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    gate = threading.Event()
    provider.plays([text("half"), wait_for(gate), *says(" and half")])
    run_id = start(gateway)
    with following(gateway, run_id) as reader:
        events_of(reader, 2)
    gate.set()
    assert ended(gateway, run_id)["state"] == "completed"


# Tools and approvals


@pytest.fixture(scope="module")
def approver(
    tmp_path_factory: pytest.TempPathFactory, _shared_provider: ScriptedProvider
) -> Iterator[GatewayProcess]:
    gateway = approving_gateway(tmp_path_factory.mktemp("runs"), _shared_provider.url).start()
    yield gateway
    assert gateway.stop() == 0, gateway.log


WAIT = {"x-openclaw-approvals": "wait"}


def test_a_background_run_waits_for_an_approval(approver: GatewayProcess, provider: ScriptedProvider) -> None:
    approvals.plays(provider, "echo from-the-tool")
    run_id = start(approver, "do it", WAIT)
    (approval,) = pending(approver)
    run = reached(approver, run_id, lambda run: run["phase"] == "approval")
    assert run["pendingApprovals"] == [approval["id"]]
    assert [(one["name"], one["state"]) for one in run["tools"]] == [("exec", "waiting")]
    assert decide(approver, approval["id"], "allow-once").status == 200
    run = ended(approver, run_id)
    assert run["answer"]["choices"][0]["message"]["content"] == "Done."
    assert [(one["name"], one["state"]) for one in run["tools"]] == [("exec", "done")]
    kinds = [one.kind for one in all_events(approver, run_id)]
    assert "approval.requested" in kinds
    assert "approval.resolved" in kinds
    results = [one.data for one in all_events(approver, run_id) if one.kind == "tool.result"]
    assert "from-the-tool" in results[0]["output"]


def test_a_run_that_waits_for_an_approval_is_cancelled(
    approver: GatewayProcess, provider: ScriptedProvider
) -> None:
    approvals.plays(provider, "echo never")
    run_id = start(approver, "do it", WAIT)
    pending(approver)
    run = cancel(approver, run_id)
    assert (run.status, run.json["state"]) == (200, "cancelled")
    assert run.json["pendingApprovals"] == []
    pending(approver, 0)


# Cancelling


def test_runs_are_cancelled_in_the_queue_and_at_work(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([text("begun"), hang()])
    first = start(gateway, "first", user="lane")
    provider.wait_for_requests(1)
    second = start(gateway, "second", user="lane")
    assert shown(gateway, second).json["state"] == "queued"
    assert [one["id"] for one in listed(gateway, "?state=queued")["runs"]] == [second]
    assert [one["id"] for one in listed(gateway, "?state=running")["runs"]] == [first]
    assert cancel(gateway, second).json["state"] == "cancelled"
    assert cancel(gateway, first).json["state"] == "cancelled"
    assert cancel(gateway, first).json["state"] == "cancelled"
    provider.wait_for_leaving()
    assert len(provider.requests) == 1
    events = all_events(gateway, first)
    assert (events[-1].kind, events[-1].data["aborted"]) == ("run.error", True)


def test_a_run_that_has_ended_stays_as_it_is(gateway: GatewayProcess) -> None:
    run_id = start(gateway)
    ended(gateway, run_id)
    answer = cancel(gateway, run_id)
    assert (answer.status, answer.json["state"]) == (200, "completed")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/runs/nothing"),
        ("GET", "/v1/runs/nothing/events"),
        ("POST", "/v1/runs/nothing/cancel"),
        ("GET", "/v1/runs/%2F"),
        ("GET", "/v1/runs/" + "x" * 5000),
        ("GET", "/v1/runs/%00%ff"),
    ],
)
def test_what_is_no_run_is_404(gateway: GatewayProcess, method: str, path: str) -> None:
    answer = gateway.request(method, path, headers=HEADERS)
    assert (answer.status, answer.error["code"]) == (404, "not_found")


# Lists


def test_runs_are_listed_page_by_page(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    made = [start(gateway, f"number {number}", user=f"user-{number % 2}") for number in range(7)]
    for run_id in made:
        ended(gateway, run_id)
    answer = gateway.ask("stateless")
    made.append(answer.headers["X-OpenClaw-Run-Id"])
    found: list[str] = []
    query = "?limit=3"
    while True:
        page = listed(gateway, query)
        found += [one["id"] for one in page["runs"]]
        assert len(page["runs"]) <= 3
        if page["next"] is None:
            break
        query = f"?limit=3&after={page['next']}"
    known = [one for one in found if one in made]
    assert sorted(known) == sorted(made)
    assert len(set(found)) == len(found)
    times = [one["createdAt"] for one in listed(gateway, "?limit=200")["runs"]]
    assert times == sorted(times, reverse=True)


def test_runs_are_listed_by_session_and_state(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.plays(says("good"), [respond(400, {"error": {"message": "bad"}})])
    good = start(gateway, "a", headers={"x-openclaw-session-key": "listed"})
    ended(gateway, good)
    bad = start(gateway, "b", headers={"x-openclaw-session-key": "listed"})
    ended(gateway, bad)
    assert {one["id"] for one in listed(gateway, "?session=listed")["runs"]} == {good, bad}
    full = "?session=agent:main:listed"
    assert [one["id"] for one in listed(gateway, f"{full}&state=failed")["runs"]] == [bad]
    assert [one["id"] for one in listed(gateway, f"{full}&state=completed")["runs"]] == [good]
    assert listed(gateway, f"{full}&state=queued")["runs"] == []
    assert listed(gateway, "?session=other")["runs"] == []


def test_a_run_is_found_by_its_idempotency_key(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    named = {"x-openclaw-session-key": "keyed"}
    first = start(gateway, "a", {"Idempotency-Key": "key-1"})
    second = start(gateway, "b", {"Idempotency-Key": "key-1", **named})
    assert start(gateway, "a", {"Idempotency-Key": "key-1"}) == first
    for run_id in (first, second):
        ended(gateway, run_id)
    assert start(gateway, "a", {"Idempotency-Key": "key-1"}) == first
    assert [one["id"] for one in listed(gateway, "?key=key-1")["runs"]] == [first]
    assert [one["id"] for one in listed(gateway, "?key=key-1&session=keyed")["runs"]] == [second]
    assert listed(gateway, "?key=key-1&state=failed")["runs"] == []
    assert listed(gateway, "?key=other")["runs"] == []
    with operator(gateway) as client:
        client.call("chat.send", {"sessionKey": "main", "message": "hi", "idempotencyKey": "mine"})
        client.until("chat", runId="mine", state="final")
    assert [one["id"] for one in listed(gateway, "?key=mine")["runs"]] == ["mine"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("key=a%20b", "key"),
        ("state=busy", "state"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("after=%21", "after"),
        ("after=YWJj", "after"),
        ("session=agent:", None),
    ],
)
def test_a_list_of_what_there_is_not_is_refused(
    gateway: GatewayProcess, query: str, param: str | None
) -> None:
    answer = gateway.request("GET", f"/v1/runs?{query}", headers=HEADERS)
    assert (answer.status, answer.error["param"]) == (400, param)


# Whose runs


def test_users_see_their_own_runs_alone(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(proxy_config(provider.url))
    ann, bob, root = ({"x-user": name} for name in ("ann", "bob", "root"))
    provider.plays(says("for ann"), [text("begun"), hang()])
    mine = start(gateway, "hi", ann)
    reached_end(gateway, mine, ann)
    running = start(gateway, "hi", ann, user="chat")
    stateless = gateway.request(
        "POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, ann
    ).headers["X-OpenClaw-Run-Id"]
    for run_id in (mine, running, stateless):
        for path in ("", "/events", "/cancel"):
            method = "POST" if path == "/cancel" else "GET"
            assert gateway.request(method, f"/v1/runs/{run_id}{path}", headers=bob).status == 404
        assert shown(gateway, run_id, ann).status == 200
        assert shown(gateway, run_id, root).status == 200
    assert listed(gateway, headers=bob)["runs"] == []
    assert {one["id"] for one in listed(gateway, headers=ann)["runs"]} == {mine, running, stateless}
    assert len(listed(gateway, headers=root)["runs"]) == 3
    assert cancel(gateway, running, ann).json["state"] == "cancelled"
    reader = {**ann, "x-openclaw-scopes": "operator.read"}
    assert cancel(gateway, mine, reader).status == 403
    assert shown(gateway, mine, reader).status == 200


def reached_end(gateway: GatewayProcess, run_id: str, headers: dict[str, str]) -> None:
    wait_until(lambda: shown(gateway, run_id, headers).json["state"] == "completed", 30, "end")


# Floods


def test_followers_of_a_run_are_bounded(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    gate = threading.Event()
    provider.plays([text("begun"), wait_for(gate), *says(" and done")])
    run_id = start(gateway)
    provider.wait_for_requests(1)
    held = []
    try:
        for _ in range(100):
            follower = following(gateway, run_id)
            held.append((follower, follower.__enter__()))
        full = gateway.request("GET", f"/v1/runs/{run_id}/events", headers=HEADERS)
        assert (full.status, full.error["code"]) == (429, "overloaded")
        assert int(full.headers["Retry-After"]) >= 1
        gate.set()
        assert {events_of(stream)[-1].kind for _, stream in held} == {"run.end"}
    finally:
        gate.set()
        for follower, _ in held:
            follower.__exit__(None, None, None)
    wait_until(lambda: all_events(gateway, run_id)[-1].kind == "run.end", 30, "room again")


def test_switched_off_there_are_no_runs(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = json.loads(json.dumps({"gateway": {"auth": {"mode": "token", "token": TOKEN}}}))
    gateway = start_gateway(config)
    for method, path in (("GET", "/v1/runs"), ("GET", "/v1/runs/x"), ("POST", "/v1/runs/x/cancel")):
        answer = gateway.request(method, path, headers=HEADERS)
        assert (answer.status, answer.error["code"]) == (404, "endpoint_disabled")
    assert gateway.request("GET", "/v1/runs").status == 404


def test_runs_need_the_secret(gateway: GatewayProcess) -> None:
    for method, path in (
        ("GET", "/v1/runs"),
        ("GET", "/v1/runs/x"),
        ("GET", "/v1/runs/x/events"),
        ("POST", "/v1/runs/x/cancel"),
    ):
        assert gateway.request(method, path).status == 401
    wrong = gateway.request("DELETE", "/v1/runs/x", headers=HEADERS)
    assert wrong.status == 405
    assert Path(gateway.log_path).exists()
