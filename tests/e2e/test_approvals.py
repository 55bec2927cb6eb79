"""Commands that somebody has to approve: over HTTP, over WebSocket, in time, too late, and not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.approvals import (
    HEADERS,
    approving_gateway,
    ask,
    ask_beside,
    beside,
    decide,
    pending,
    plays,
    result,
    shown,
)
from tests.support.gateway import GatewayProcess
from tests.support.operator import Operator, operator
from tests.support.provider import PATIENCE, ScriptedProvider
from tests.support.proxy_users import USER_HEADER, connected, proxy_config


@pytest.fixture(scope="module")
def _approving(
    tmp_path_factory: pytest.TempPathFactory, _shared_provider: ScriptedProvider
) -> Iterator[GatewayProcess]:
    gateway = approving_gateway(tmp_path_factory.mktemp("approving"), _shared_provider.url)
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log
    assert "fault of the gateway" not in gateway.log


@pytest.fixture
def gateway(_approving: GatewayProcess, provider: ScriptedProvider) -> Iterator[GatewayProcess]:
    yield _approving
    work = _approving.folder / "work"
    for file in work.iterdir():
        file.unlink()
    assert pending(_approving, 0) == []


def start_run(client: Operator, key: str, run_id: str) -> None:
    client.call("chat.send", {"sessionKey": key, "message": "Do it", "idempotencyKey": run_id})


def test_a_run_over_websocket_waits_for_another_connection(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    plays(provider, "uname -s > out.txt; cat out.txt")
    with operator(gateway, scopes=["operator.approvals"]) as approver, operator(gateway) as client:
        start_run(client, "waits", "run-waits")
        asked = approver.until("exec.approval.requested")
        request = asked["request"]
        assert request["command"] == "uname -s > out.txt; cat out.txt"
        assert request["cwd"] == str((gateway.folder / "work").resolve())
        assert (request["agentId"], request["sessionKey"]) == ("main", "agent:main:waits")
        assert (request["runId"], request["toolCallId"]) == ("run-waits", "call_1")
        assert (request["security"], request["ask"], request["host"]) == ("allowlist", "on-miss", "gateway")
        assert request["allowedDecisions"] == ["allow-once", "deny"]
        assert asked["expiresAtMs"] - asked["createdAtMs"] == 1_800_000
        assert [one["id"] for one in approver.call("exec.approval.list")] == [asked["id"]]
        assert approver.call("exec.approval.get", {"id": asked["id"]})["commandText"] == request["command"]
        assert not (gateway.folder / "work" / "out.txt").exists()
        decision = {"id": asked["id"], "decision": "allow-once"}
        assert approver.call("exec.approval.resolve", decision) == {"ok": True}
        assert approver.call("exec.approval.resolve", decision) == {"ok": True}
        over = client.until("exec.approval.resolved")
        assert (over["id"], over["decision"], over["resolvedBy"]) == (asked["id"], "allow-once", "cli")
        client.until("chat", runId="run-waits", state="final")
        assert result(provider) == "Linux"
        error = approver.refusal("exec.approval.resolve", {**decision, "decision": "deny"})
        assert (error["code"], error["message"]) == ("INVALID_REQUEST", "approval already resolved")
        assert error["details"]["reason"] == "APPROVAL_ALREADY_RESOLVED"
        assert approver.call("exec.approval.list") == []
        assert (
            approver.refusal("exec.approval.get", {"id": asked["id"]})["details"]["reason"]
            == "APPROVAL_NOT_FOUND"
        )
        snapshot = approver.call("approval.get", {"id": asked["id"]})["approval"]
        assert (snapshot["status"], snapshot["reason"]) == ("allowed", "user")
        assert snapshot["resolver"] == {"kind": "device", "id": "cli"}


def test_a_run_over_http_is_approved_over_http(gateway: GatewayProcess, provider: ScriptedProvider):
    plays(provider, "echo $((1+1))")
    answer = ask_beside(gateway, x_openclaw_approvals="wait")
    (waiting,) = pending(gateway)
    assert waiting["status"] == "pending"
    assert waiting["presentation"]["kind"] == "exec"
    assert waiting["presentation"]["commandText"] == "echo $((1+1))"
    assert "Only a shell" in waiting["presentation"]["warningText"]
    assert waiting["urlPath"] == f"/approve/{waiting['id']}"
    allowed = decide(gateway, waiting["id"], "allow-once")
    assert (allowed.status, allowed.json["status"], allowed.json["decision"]) == (
        200,
        "allowed",
        "allow-once",
    )
    assert answer.result(PATIENCE).text == "Done."
    assert result(provider) == "2"
    assert decide(gateway, waiting["id"], "allow-once").status == 200
    other = decide(gateway, waiting["id"], "deny")
    assert (other.status, other.error["code"]) == (409, "approval_already_resolved")
    after = shown(gateway, waiting["id"]).json
    assert (after["status"], after["resolver"]) == ("allowed", {"kind": "channel", "id": "http"})


def test_who_is_denied_is_told_so(gateway: GatewayProcess, provider: ScriptedProvider):
    plays(provider, "touch no.txt")
    answer = ask_beside(gateway, x_openclaw_approvals="wait")
    (waiting,) = pending(gateway)
    assert decide(gateway, waiting["id"], "deny").json["status"] == "denied"
    assert answer.result(PATIENCE).text == "Done."
    assert f"Exec denied (gateway id={waiting['id']}, user-denied): touch no.txt" in result(provider)
    assert not (gateway.folder / "work" / "no.txt").exists()


def test_without_anybody_to_ask_the_model_is_told(gateway: GatewayProcess, provider: ScriptedProvider):
    plays(provider, "touch no.txt")
    assert ask(gateway).text == "Done."
    assert "nobody who could give it is there" in result(provider)
    plays(provider, "touch no.txt")
    with operator(gateway):
        assert ask(gateway, x_openclaw_approvals="deny").text == "Done."
    assert not (gateway.folder / "work" / "no.txt").exists()


def test_while_an_approver_is_connected_a_request_waits(gateway: GatewayProcess, provider: ScriptedProvider):
    plays(provider, "touch yes.txt")
    with operator(gateway, scopes=["operator.read", "operator.approvals"]) as approver:
        answer = ask_beside(gateway)
        asked = approver.until("exec.approval.requested")
        approver.call("approval.resolve", {"id": asked["id"], "kind": "exec", "decision": "allow-once"})
        assert answer.result(PATIENCE).text == "Done."
    assert (gateway.folder / "work" / "yes.txt").exists()


def test_who_wants_it_to_fail_gets_403_and_nothing_is_run(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    plays(provider, "touch no.txt")
    answer = ask(gateway, x_openclaw_approvals="fail")
    assert (answer.status, answer.error["code"]) == (403, "approval_required")
    provider.reset()
    plays(provider, "touch no.txt")
    events = ask(gateway, stream=True, x_openclaw_approvals="FAIL").events()
    assert events[-2]["error"]["code"] == "approval_required"
    assert events[-1] == "[DONE]"
    assert not (gateway.folder / "work" / "no.txt").exists()
    provider.reset()
    wrong = ask(gateway, x_openclaw_approvals="perhaps")
    assert (wrong.status, wrong.error["param"]) == (400, "x-openclaw-approvals")
    assert provider.requests == []


def test_what_is_safe_is_not_asked_about(gateway: GatewayProcess, provider: ScriptedProvider):
    plays(provider, "head -c 3")
    assert ask(gateway, x_openclaw_approvals="fail").text == "Done."


def test_always_is_asked_once(gateway: GatewayProcess, provider: ScriptedProvider):
    plays(provider, "uname -s")
    answer = ask_beside(gateway, x_openclaw_approvals="wait")
    (waiting,) = pending(gateway)
    assert waiting["presentation"]["allowedDecisions"] == ["allow-once", "allow-always", "deny"]
    assert decide(gateway, waiting["id"], "allow-always").status == 200
    assert answer.result(PATIENCE).text == "Done."
    plays(provider, "uname -s")
    assert ask(gateway, x_openclaw_approvals="fail").text == "Done."
    assert result(provider) == "Linux"
    for other in (
        "uname -a",
        "uname -s; uname -s",
        "uname -s > f",
        "cd / && uname -s",
        "uname -s | head -c 1",
    ):
        provider.reset()
        plays(provider, other)
        assert ask(gateway, x_openclaw_approvals="fail").status == 403, other
    provider.reset()
    plays(provider, "uname -s", env={"LC_ALL": "C"})
    assert ask(gateway, x_openclaw_approvals="fail").status == 403
    provider.reset()
    plays(provider, "uname -s", ask="always")
    assert ask(gateway, x_openclaw_approvals="fail").status == 403
    with operator(gateway) as admin:
        (grant,) = admin.call("exec.approval.grants.list")["grants"]
        assert grant["commandArgv"] == ["uname", "-s"]
        entry = admin.call("exec.approvals.get")["file"]["agents"]["main"]["allowlist"][0]
        assert (entry["source"], entry["argv"]) == ("allow-always", ["uname", "-s"])
        assert admin.call("exec.approval.grants.revoke", {"grantId": grant["grantId"]}) == {
            "outcome": "revoked"
        }
        assert admin.call("exec.approval.grants.revoke", {"grantId": grant["grantId"]}) == {
            "outcome": "not-found"
        }
    provider.reset()
    plays(provider, "uname -s")
    assert ask(gateway, x_openclaw_approvals="fail").status == 403


def test_a_client_over_websocket_may_leave_and_its_run_waits_on(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    plays(provider, "touch later.txt")
    with operator(gateway) as client:
        start_run(client, "leaves", "run-leaves")
        client.until("exec.approval.requested")
    (waiting,) = pending(gateway)
    assert decide(gateway, waiting["id"], "allow-once").status == 200
    provider.wait_for_requests(2)
    assert result(provider) == "(no output)"
    assert (gateway.folder / "work" / "later.txt").exists()


def test_a_client_over_http_that_leaves_takes_its_run_along(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    plays(provider, "touch no.txt")
    body = json.dumps({"model": "openclaw", "messages": [{"role": "user", "content": "Do it"}]})
    with closing(HTTPConnection("127.0.0.1", gateway.port)) as client:
        client.request("POST", "/v1/chat/completions", body, {**HEADERS, "x-openclaw-approvals": "wait"})
        (waiting,) = pending(gateway)
    assert pending(gateway, 0) == []
    over = shown(gateway, waiting["id"]).json
    assert (over["status"], over["reason"]) == ("cancelled", "run-ended")
    answer = decide(gateway, waiting["id"], "allow-once")
    assert (answer.status, answer.error["code"]) == (410, "approval_expired")
    assert not (gateway.folder / "work" / "no.txt").exists()


def test_the_first_answer_of_two_wins(gateway: GatewayProcess, provider: ScriptedProvider):
    for _ in range(5):
        provider.reset()
        plays(provider, "echo $HOME")
        answer = ask_beside(gateway, x_openclaw_approvals="wait")
        (waiting,) = pending(gateway)
        decisions = ("allow-once", "deny") * 4
        answers = [beside(decide, gateway, waiting["id"], one) for one in decisions]
        statuses = [one.result(PATIENCE).status for one in answers]
        decided = shown(gateway, waiting["id"]).json["decision"]
        assert statuses == [200 if one == decided else 409 for one in decisions]
        answer.result(PATIENCE)
        assert ("denied" in result(provider)) == (decided == "deny")


def test_a_client_asks_for_a_command_of_its_own(gateway: GatewayProcess):
    with operator(gateway, scopes=["operator.approvals"]) as asking, operator(gateway) as approver:
        request = asking.request("exec.approval.request", {"command": "make", "cwd": "/x"})
        asked = approver.until("exec.approval.requested")
        waiting = asking.request("exec.approval.waitDecision", {"id": asked["id"]})
        (_,) = pending(gateway)
        assert asking.call("exec.approval.list")[0]["id"] == asked["id"]  # answered behind `waitDecision`
        approver.call("exec.approval.resolve", {"id": asked["id"], "decision": "allow-always"})
        for one in (request, waiting):
            answer = asking.response(one)["payload"]
            assert (answer["id"], answer["decision"]) == (asked["id"], "allow-always")
        short = asking.call("exec.approval.request", {"command": "make", "timeoutMs": 1})
        assert (short["decision"], short["terminalReason"]) == (None, "timeout")
        begun = asking.call("plugin.approval.request", {"title": "T", "description": "D", "twoPhase": True})
        assert approver.until("plugin.approval.requested")["id"] == begun["id"]
        asking.call("plugin.approval.resolve", {"id": begun["id"], "decision": "deny"})
        assert approver.until("plugin.approval.resolved")["decision"] == "deny"


def test_without_the_scope_there_is_nothing_to_see(gateway: GatewayProcess, provider: ScriptedProvider):
    plays(provider, "ls > x")
    with operator(gateway, scopes=["operator.read", "operator.write"]) as client:
        start_run(client, "blind", "run-blind")
        (waiting,) = pending(gateway)
        for method in ("exec.approval.list", "approval.history", "exec.approval.grants.list"):
            error = client.refusal(method)
            assert (error["code"], error["details"]["missingScope"]) == ("FORBIDDEN", "operator.approvals")
        decide_it = {"id": waiting["id"], "decision": "allow-once"}
        for method in ("exec.approval.resolve", "approval.resolve"):
            assert client.refusal(method, decide_it)["details"]["code"] == "MISSING_SCOPE"
        revoke = client.refusal("exec.approval.grants.revoke", {"grantId": "x"})
        assert revoke["details"]["missingScope"] == "operator.approvals"
        assert client.refusal("exec.approvals.set", {"file": {"version": 1}})["code"] == "FORBIDDEN"
        assert decide(gateway, waiting["id"], "deny").status == 200
        client.until("chat", runId="run-blind", state="final")
        assert client.events("exec.approval.requested") == client.events("exec.approval.resolved") == []


def test_wrong_answers_are_refused(gateway: GatewayProcess, provider: ScriptedProvider):
    assert shown(gateway, "nothing").status == 404
    assert decide(gateway, "nothing", "deny").status == 404
    assert gateway.request("GET", "/v1/approvals").status == 401
    for wrong in ("allow", None, 1, ["deny"], "ALLOW-ONCE"):
        answer = decide(gateway, "nothing", wrong)
        assert (answer.status, answer.error["param"]) == (400, "decision")
    plays(provider, "echo 'x y' > z")
    answer = ask_beside(gateway, x_openclaw_approvals="wait")
    (waiting,) = pending(gateway)
    refused = decide(gateway, waiting["id"], "allow-always")
    assert (refused.status, refused.error["param"]) == (400, "decision")
    assert decide(gateway, waiting["id"], "deny").status == 200
    answer.result(PATIENCE)


def test_what_a_secret_hides_is_no_command(gateway: GatewayProcess, provider: ScriptedProvider):
    command = "curl -H 'Authorization: Bearer canary-0123456789' 'x/?token=$(evil)&a=b'; echo sk-canary12345"
    plays(provider, command)
    answer = ask_beside(gateway, x_openclaw_approvals="wait")
    (waiting,) = pending(gateway)
    text = waiting["presentation"]["commandText"]
    assert "canary" not in text
    assert "$(evil)" in text
    assert "looks like a credential" in waiting["presentation"]["warningText"]
    assert decide(gateway, waiting["id"], "deny").status == 200
    answer.result(PATIENCE)
    assert "canary-0123" not in gateway.log


def test_an_approval_expires(tmp_path: Path, provider: ScriptedProvider):
    gateway = approving_gateway(
        tmp_path, provider.url, {"exec": {"approvalTimeoutMs": 3500}}, timeoutSeconds=3
    )
    gateway.start()
    try:
        plays(provider, "touch no.txt")
        # It waits for longer than the run may take, whose clock stands still meanwhile.
        assert ask(gateway, x_openclaw_approvals="wait").text == "Done."
        assert "approval-timeout" in result(provider)
        with operator(gateway) as client:
            (waiting,) = client.call("approval.history")["items"]
        assert (waiting["status"], waiting["reason"]) == ("expired", "timeout")
        late = decide(gateway, waiting["id"], "allow-once")
        assert (late.status, late.error["code"]) == (410, "approval_expired")
        assert not (tmp_path / "work" / "no.txt").exists()
    finally:
        gateway.stop()


def test_a_killed_gateway_leaves_nothing_to_approve(tmp_path: Path, provider: ScriptedProvider):
    gateway = approving_gateway(tmp_path, provider.url).start()
    try:
        plays(provider, "touch no.txt")
        with operator(gateway) as client:
            start_run(client, "killed", "run-killed")
            asked = client.until("exec.approval.requested")
            gateway.kill()
        gateway.start()
        deadline = time.monotonic() + PATIENCE
        while (found := shown(gateway, asked["id"]).json)["status"] == "pending":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (found["status"], found["reason"]) == ("cancelled", "gateway-restart")
        assert pending(gateway, 0) == []
        assert decide(gateway, asked["id"], "allow-once").status == 410
        assert not (tmp_path / "work" / "no.txt").exists()
        assert len(provider.requests) == 1
    finally:
        gateway.stop()


def test_people_behind_a_proxy_are_answered_by_an_operator(tmp_path: Path, provider: ScriptedProvider):
    gateway = approving_gateway(tmp_path, provider.url)
    config = json.loads(gateway.config_path.read_text())
    behind = proxy_config(provider.url)
    config["gateway"] = {**behind["gateway"], "port": gateway.port}
    gateway.write_config(config)
    gateway.start()
    try:
        plays(provider, "echo $((7*6))")
        with connected(gateway, "ann") as ann, connected(gateway, "root") as root:
            start_run(ann, "notes", "run-ann")
            asked = root.until("exec.approval.requested")
            assert asked["request"]["runId"] == "run-ann"
            path = f"/v1/approvals/{asked['id']}"
            for method, body in (("GET", None), ("POST", {"decision": "allow-once"})):
                answer = gateway.request(method, path, body, {USER_HEADER: "ann"})
                assert (answer.status, answer.error["code"]) == (403, "missing_scope")
            assert ann.refusal("exec.approval.list")["details"]["code"] == "MISSING_SCOPE"
            allowed = gateway.request("POST", path, {"decision": "allow-once"}, {USER_HEADER: "root"})
            assert allowed.json["resolver"] == {"kind": "channel", "id": "root"}
            ann.until("chat", runId="run-ann", state="final")
            assert ann.events("exec.approval.requested") == []
        assert result(provider) == "42"
    finally:
        gateway.stop()
