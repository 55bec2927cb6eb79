"""The methods around approvals: what they answer, and in which words they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.auth.principal import Principal
from app.auth.scopes import APPROVALS, READ
from app.errors import InvalidRequest
from app.sessions.keys import owned_key
from app.tools.approvals.record import ApprovalRequest
from app.ws.errors import ProtocolError

if TYPE_CHECKING:
    from tests.unit.ws.methods.conftest import Office


def begin(office: Office, **more: Any) -> str:
    given = {"command": "uname -s", "cwd": "/work", "twoPhase": True, **more}
    answer = office.call("exec.approval.request", given)
    assert answer["decision"] is None
    assert set(answer) == {"id", "decision", "createdAtMs", "expiresAtMs"}
    approval_id: str = answer["id"]
    return approval_id


def reason(office: Office, method: str, params: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(ProtocolError) as caught:
        office.call(method, params)
    return caught.value.message, caught.value.details["reason"]


def test_a_command_of_a_clients_own(office: Office):
    approval_id = begin(office, env={"B": "canary", "A": "x"}, sessionKey="notes", runId="r", toolCallId="c")
    (listed,) = office.call("exec.approval.list")
    assert (listed["id"], listed["approvalKind"]) == (approval_id, "exec")
    request = listed["request"]
    assert (request["command"], request["cwd"], request["host"]) == ("uname -s", "/work", "gateway")
    assert (request["sessionKey"], request["runId"], request["toolCallId"]) == ("agent:main:notes", "r", "c")
    assert request["envKeys"] == ["A", "B"]
    assert "canary" not in repr(listed)
    got = office.call("exec.approval.get", {"id": approval_id})
    assert (got["commandText"], got["agentId"]) == ("uname -s", "main")
    assert office.call("plugin.approval.list") == []
    assert office.call("exec.approval.resolve", {"id": approval_id, "decision": "allow-always"}) == {
        "ok": True
    }
    waited = office.call("exec.approval.waitDecision", {"id": approval_id})
    assert waited["decision"] == "allow-always"
    assert "terminalReason" not in waited
    assert office.call("exec.approval.list") == []


def test_another_call_of_a_clients_own(office: Office):
    answer = office.call(
        "plugin.approval.request",
        {
            "title": "Send a message",
            "description": "To everybody",
            "severity": "critical",
            "mcpTool": {"server": "chat", "tool": "send"},
            "allowedDecisions": ["allow-once"],
            "twoPhase": True,
            "id": "mine",
        },
    )
    assert answer["id"] == "mine"
    assert answer["expiresAtMs"] - answer["createdAtMs"] == 120_000
    (listed,) = office.call("plugin.approval.list")
    assert listed["request"]["allowedDecisions"] == ["allow-once", "deny"]
    assert listed["request"]["mcpTool"] == {"server": "chat", "tool": "send"}
    assert reason(office, "exec.approval.resolve", {"id": "mine", "decision": "deny"}) == (
        "unknown or expired approval id",
        "APPROVAL_NOT_FOUND",
    )
    assert office.call("plugin.approval.resolve", {"id": "mine", "decision": "deny"}) == {"ok": True}
    snapshot = office.call("approval.get", {"id": "mine"})["approval"]
    assert (snapshot["presentation"]["title"], snapshot["status"]) == ("Send a message", "denied")


def test_refusals(office: Office):
    approval_id = begin(office, unavailableDecisions=["allow-always"])
    for method in ("exec.approval.get", "exec.approval.waitDecision", "approval.get"):
        assert reason(office, method, {"id": "nothing"})[1] == "APPROVAL_NOT_FOUND"
    decide = {"id": approval_id, "decision": "perhaps"}
    assert reason(office, "exec.approval.resolve", decide) == ("invalid decision", "INVALID_DECISION")
    decide["decision"] = "allow-always"
    assert reason(office, "exec.approval.resolve", decide) == ("invalid decision", "INVALID_DECISION")
    office.call("exec.approval.resolve", {"id": approval_id, "decision": "deny"})
    office.call("exec.approval.resolve", {"id": approval_id, "decision": "deny"})
    decide["decision"] = "allow-once"
    assert reason(office, "exec.approval.resolve", decide) == (
        "approval already resolved",
        "APPROVAL_ALREADY_RESOLVED",
    )
    again = {"command": "x", "id": approval_id, "twoPhase": True}
    assert "already" in office.refusal("exec.approval.request", again)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("exec.approval.request", {}),
        ("exec.approval.request", {"command": ""}),
        ("exec.approval.request", {"command": 1}),
        ("exec.approval.request", {"command": "x" * 16_385}),
        ("exec.approval.request", {"command": "x", "env": ["A"]}),
        ("exec.approval.request", {"command": "x", "env": {"A": 1}}),
        ("exec.approval.request", {"command": "x", "timeoutMs": 0}),
        ("exec.approval.request", {"command": "x", "id": "x" * 37}),
        ("exec.approval.request", {"command": "x", "id": ""}),
        ("exec.approval.request", {"command": "x", "agentId": "nobody"}),
        ("plugin.approval.request", {"title": "x"}),
        ("plugin.approval.request", {"title": "x" * 81, "description": "x"}),
        ("plugin.approval.request", {"title": "x", "description": "x" * 513}),
        ("plugin.approval.request", {"title": "x", "description": "x", "severity": "bad"}),
        ("plugin.approval.request", {"title": "x", "description": "x", "mcpTool": "x"}),
        ("plugin.approval.request", {"title": "x", "description": "x", "timeoutMs": 600_001}),
        ("exec.approval.resolve", {"id": "x"}),
        ("exec.approval.resolve", {"decision": "deny"}),
        ("approval.resolve", {"id": "x", "decision": "deny", "kind": "system"}),
        ("approval.history", {"limit": 101}),
        ("approval.history", {"kind": "other"}),
        ("exec.approvals.set", {}),
        ("exec.approvals.set", {"file": {"version": 3}}),
        ("exec.approvals.set", {"file": {"version": 1, "agents": {"a": {"allowlist": [{"pattern": ""}]}}}}),
        ("exec.approvals.node.get", {"nodeId": "x"}),
        ("exec.approvals.node.set", {"nodeId": "x"}),
        ("exec.approval.grants.revoke", {}),
    ],
)
def test_wrong_params(office: Office, method: str, params: dict[str, Any]):
    with pytest.raises(InvalidRequest):
        office.call(method, params)
    assert office.call("exec.approval.list") == []


def test_the_second_of_two_answers_is_no_error_for_approval_resolve(office: Office):
    approval_id = begin(office)
    first = office.call("approval.resolve", {"id": approval_id, "kind": "exec", "decision": "allow-once"})
    assert (first["applied"], first["approval"]["status"]) == (True, "allowed")
    second = office.call("approval.resolve", {"id": approval_id, "kind": "exec", "decision": "deny"})
    assert (second["applied"], second["approval"]["decision"]) == (False, "allow-once")
    assert reason(office, "approval.resolve", {"id": "x", "decision": "deny"})[1] == "APPROVAL_NOT_FOUND"
    open_one = begin(office)
    assert reason(office, "approval.resolve", {"id": open_one, "decision": "x"})[1] == "INVALID_DECISION"


def test_history_in_pages(office: Office):
    ids = [begin(office) for _ in range(5)]
    for one in ids:
        office.call("exec.approval.resolve", {"id": one, "decision": "deny"})
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = office.call("approval.history", params)
        seen += [one["id"] for one in page["items"]]
        if "nextCursor" not in page:
            break
        params["cursor"] = page["nextCursor"]
    assert sorted(seen) == sorted(ids)
    assert office.call("approval.history", {"kind": "plugin"}) == {"items": []}


def test_the_document(office: Office):
    empty = office.call("exec.approvals.get")
    assert (empty["exists"], empty["file"]) == (False, {"version": 1, "defaults": {}, "agents": {}})
    assert empty["resolvedDefaults"] == {
        "security": "allowlist",
        "ask": "on-miss",
        "askFallback": "deny",
        "autoAllowSkills": False,
    }
    assert empty["path"].endswith("#exec_approvals_config")
    file = {"version": 1, "agents": {"main": {"allowlist": [{"pattern": "git"}]}}}
    written = office.call("exec.approvals.set", {"file": file, "baseHash": empty["hash"]})
    assert (written["exists"], written["file"]["agents"]["main"]["allowlist"][0]["pattern"]) == (True, "git")
    assert "have changed" in office.refusal("exec.approvals.set", {"file": file, "baseHash": empty["hash"]})
    office.call("exec.approvals.set", {"file": {"version": 1}})
    assert office.call("exec.approvals.get")["file"]["agents"] == {}


def test_who_subscribes_to_a_session_gets_what_waits_in_it(office: Office):
    begin(office, sessionKey="other")
    mine = begin(office, sessionKey="notes")
    params = {"key": "notes", "includeApprovals": True}
    replay = office.call("sessions.messages.subscribe", params)["approvalReplay"]
    assert [one["id"] for one in replay["approvals"]] == [mine]
    office.peer.principal = Principal("token", scopes=frozenset({READ}))
    assert office.call("sessions.messages.subscribe", params)["approvalReplay"]["approvals"] == []


def test_grants_newest_first(office: Office):
    office.call(
        "exec.approvals.set",
        {
            "file": {
                "version": 1,
                "agents": {
                    "main": {
                        "allowlist": [
                            {"pattern": "git"},
                            {"pattern": "/x", "source": "allow-always", "argv": ["x"], "lastUsedAt": 1},
                            {"pattern": "/y", "source": "allow-always", "argv": ["y"], "lastUsedAt": 2},
                        ]
                    }
                },
            }
        },
    )
    grants = office.call("exec.approval.grants.list")["grants"]
    assert [one["commandArgv"] for one in grants] == [["y"], ["x"]]
    assert office.call("exec.approval.grants.list", {"limit": 1})["grants"] == grants[:1]
    assert (
        office.call("exec.approval.grants.revoke", {"grantId": grants[0]["grantId"]})["outcome"] == "revoked"
    )
    assert [one["commandArgv"] for one in office.call("exec.approval.grants.list")["grants"]] == [["x"]]
    assert len(office.call("exec.approvals.get")["file"]["agents"]["main"]["allowlist"]) == 2


def test_a_user_sees_what_concerns_its_own_sessions(office: Office):
    service = office.gateway.tools.approvals
    ids = {}
    for owner in ("ann", "bob", None):
        key = owned_key("agent:main:notes", owner)
        request = ApprovalRequest(kind="exec", agent_id="main", session_key=key, command="ls")
        ids[owner] = service.begin(request, 60).id
    office.peer.principal = Principal("trusted-proxy", "ann", frozenset({APPROVALS}))
    assert [one["id"] for one in office.call("exec.approval.list")] == [ids["ann"]]
    for other in (ids["bob"], ids[None]):
        for method in ("exec.approval.get", "approval.get", "exec.approval.waitDecision"):
            assert reason(office, method, {"id": other})[1] == "APPROVAL_NOT_FOUND"
        decide = {"id": other, "decision": "allow-once"}
        assert reason(office, "exec.approval.resolve", decide)[1] == "APPROVAL_NOT_FOUND"
        assert reason(office, "approval.resolve", decide)[1] == "APPROVAL_NOT_FOUND"
        assert service.get(other).is_pending
    own = begin(office, sessionKey="agent:main:of:" + "0" * 32 + ":x")
    assert own in [one["id"] for one in office.call("exec.approval.list")]
    office.call("exec.approval.resolve", {"id": ids["ann"], "decision": "deny"})
    assert service.get(ids["ann"]).resolver.id == "ann"  # type: ignore[union-attr]
    assert [one["id"] for one in office.call("approval.history")["items"]] == [ids["ann"]]
