"""Agents that start and ask other agents, through a real gateway (docs/tools.md#sub-agents)."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import pytest

from tests.e2e.conftest import ShareGateway, StartGateway
from tests.support.agent_turns import calls, parsed, result
from tests.support.gateway import Answer, GatewayProcess, agent_config
from tests.support.operator import Operator, operator
from tests.support.provider import PATIENCE, ScriptedProvider, Step, hang, says, text, wait_for, wait_until

CHILD = "child-model"


@pytest.fixture
def gateway(share_gateway: ShareGateway, provider: ScriptedProvider) -> GatewayProcess:
    return share_gateway(family(provider))


def family(
    provider: ScriptedProvider, tools: dict[str, Any] | None = None, **subagents: Any
) -> dict[str, Any]:
    """Two agents whose sub-agents answer with a model of their own, so that its scripts are apart."""
    bounds = {"model": f"test/{CHILD}", **subagents}
    config = agent_config(provider.url, subagents=bounds)
    config["agents"]["list"].append({"id": "beta", "subagents": {"model": f"test/{CHILD}"}})
    return config


def ask(gateway: GatewayProcess, session: str | None = None, text: str = "Do it", **more: Any) -> Answer:
    headers = {"x_openclaw_session_key": session} if session else {}
    body = {"model": "openclaw", "messages": [{"role": "user", "content": text}], **more}
    return gateway.chat(body, **headers)


def spawn(task: str = "Count the cranes", **more: Any) -> list[Step]:
    return calls("sessions_spawn", {"task": task, **more}, call_id=f"call_{uuid.uuid4().hex[:6]}")


def own(provider: ScriptedProvider, model: str = "test") -> list[dict[str, Any]]:
    return [one for one in provider.requests if one["model"] == model]


def last_result(provider: ScriptedProvider, model: str = "test") -> Any:
    """The newest tool result that the model was given."""
    return parsed(own(provider, model)[-1]["messages"][-1]["content"])


def history(gateway: GatewayProcess, key: str) -> list[str]:
    with operator(gateway) as client:
        messages = client.call("chat.history", {"sessionKey": key})["messages"]
    return ["".join(part.get("text", "") for part in one["content"]) for one in messages]


def children(client: Operator, parent: str = "agent:main:parent") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.call("sessions.list", {"spawnedBy": parent})["sessions"]
    return rows


@pytest.mark.parametrize("session", [None, "parent"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_parent_waits_for_its_child_and_gets_the_result(
    gateway: GatewayProcess, provider: ScriptedProvider, session: str | None, stream: bool
):
    provider.plays(spawn(taskName="cranes"), calls("sessions_yield", {}), says("There are four."))
    provider.plays(says("Four cranes."), model=CHILD)
    answer = ask(gateway, session, stream=stream)
    assert answer.status == 200
    if not stream:
        assert answer.text == "There are four."
    (child,) = own(provider, CHILD)
    assert child["messages"][-1] == {"role": "user", "content": "Count the cranes"}
    accepted = parsed(own(provider)[1]["messages"][-1]["content"])
    assert accepted["status"] == "accepted"
    assert accepted["sessionKey"].startswith("agent:main:subagent:")
    news = last_result(provider)
    assert [(one["taskName"], one["status"], one["result"]) for one in news["results"]] == [
        ("cranes", "done", "Four cranes.")
    ]
    assert "EXTERNAL_UNTRUSTED_CONTENT" in own(provider)[-1]["messages"][-1]["content"]


def test_a_child_has_fewer_tools_than_its_parent(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.plays(spawn(), calls("sessions_yield", {}), says("ok"))
    provider.plays(calls("session_status", {}), says("ok"), model=CHILD)
    ask(gateway)
    offered = {one["function"]["name"] for one in own(provider, CHILD)[0]["tools"]}
    assert "sessions_spawn" in offered
    assert not offered & {"session_status", "sessions_send", "agents_list", "ask_user"}
    assert own(provider, CHILD)[1]["messages"][-1]["content"] == "Tool session_status not found"


def test_a_child_may_not_do_what_the_endpoint_denies(share_gateway: ShareGateway, provider: ScriptedProvider):
    config = family(provider)
    config["gateway"]["http"]["endpoints"]["chatCompletions"]["tools"] = {"deny": ["read"]}
    gateway = share_gateway(config)
    provider.plays(spawn(), calls("sessions_yield", {}), says("ok"))
    provider.plays(says("ok"), model=CHILD)
    ask(gateway)
    offered = {one["function"]["name"] for one in own(provider, CHILD)[0]["tools"]}
    assert "read" not in offered
    assert "ls" in offered


def test_a_result_that_nobody_waits_for_comes_in_a_turn_of_its_own(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    go_on = threading.Event()
    provider.plays(spawn(label="Cranes"), says("I will tell you."))
    provider.plays([wait_for(go_on), *says("Four cranes.")], model=CHILD)
    with operator(gateway) as client:
        client.call(
            "chat.send", {"sessionKey": "parent", "message": "Go", "idempotencyKey": str(uuid.uuid4())}
        )
        client.until("chat", state="final", sessionKey="agent:main:parent")
        provider.plays(says("It is four."))
        go_on.set()
        final = client.until("chat", state="final", sessionKey="agent:main:parent")
        assert final["message"]["content"][0]["text"] == "It is four."
        rows = children(client)
        assert [row["spawnedBy"] for row in rows] == ["agent:main:parent"]
    told = own(provider)[-1]["messages"][-1]["content"]
    assert "Four cranes." in told
    assert "Cranes: done." in told
    assert len(own(provider)) == 3, "one turn, and no more"
    assert len(own(provider, CHILD)) == 1


def test_results_come_together_once_the_session_is_at_rest(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    go_on = threading.Event()
    provider.plays(spawn(taskName="one"), spawn(taskName="two"), [wait_for(go_on), *says("Started.")])
    provider.plays(says("first"), says("second"), model=CHILD)
    asked = threading.Thread(target=ask, args=(gateway, "parent"))
    asked.start()
    wait_until(lambda: len(own(provider, CHILD)) == 2, PATIENCE, "children")
    with operator(gateway) as client:
        wait_until(lambda: not any(one.get("hasActiveRun") for one in children(client)), PATIENCE, "results")
    provider.plays(says("Both are there."))
    go_on.set()
    asked.join(PATIENCE)
    wait_until(lambda: history(gateway, "parent")[-1] == "Both are there.", PATIENCE, "announcement")
    told = own(provider)[-1]["messages"][-1]["content"]
    assert "first" in told
    assert "second" in told
    assert len(own(provider)) == 4


def test_the_children_of_a_run_without_a_session_end_with_it(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    provider.plays(spawn(), [wait_for(provider.asked(CHILD)), *says("I do not wait.")])
    provider.plays([text("…"), hang()], model=CHILD)
    accepted_note = ask(gateway)
    assert accepted_note.text == "I do not wait."
    provider.wait_for_leaving()
    assert "ends when your own run ends" in parsed(own(provider)[1]["messages"][-1]["content"])["note"]


def test_an_aborted_parent_takes_its_children_along(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.plays(spawn(), calls("sessions_yield", {}), says("never"))
    provider.plays([text("…"), hang()], model=CHILD)
    with operator(gateway, caps=["tool-events"]) as client:
        run_id = str(uuid.uuid4())
        client.call("chat.send", {"sessionKey": "parent", "message": "Go", "idempotencyKey": run_id})
        while client.until("agent", runId=run_id, stream="tool")["data"]["name"] != "sessions_yield":
            pass
        assert provider.asked(CHILD).wait(PATIENCE)
        client.call("chat.abort", {"sessionKey": "parent", "runId": run_id})
        assert [one for one in client.events("chat") if one["runId"] == run_id][-1]["state"] == "aborted"
        provider.wait_for_leaving()
    assert len(own(provider)) == 2


def test_the_number_of_children_is_bounded(share_gateway: ShareGateway, provider: ScriptedProvider):
    gateway = share_gateway(family(provider, maxChildrenPerAgent=2))
    provider.plays(spawn(), spawn(), spawn(), says("ok"))
    provider.always([text("…"), hang()], model=CHILD)
    ask(gateway)
    answer = last_result(provider)
    assert answer["status"] == "error"
    assert "maxChildrenPerAgent" in answer["error"]
    gateway = share_gateway(family(provider, maxConcurrent=1))
    provider.plays(spawn(), spawn(), says("ok"))
    ask(gateway)
    assert "maxConcurrent" in last_result(provider)["error"]


def test_the_depth_is_bounded(share_gateway: ShareGateway, provider: ScriptedProvider):
    gateway = share_gateway(family(provider, maxSpawnDepth=2))
    provider.plays(spawn(), calls("sessions_yield", {}), says("ok"))
    provider.plays(spawn("deeper"), calls("sessions_yield", {}), model=CHILD)
    provider.always(says("deep enough"), model=CHILD)
    ask(gateway, "parent")
    offered = [{one["function"]["name"] for one in request["tools"]} for request in own(provider, CHILD)]
    assert "sessions_spawn" in offered[0]
    deepest = next(names for names in offered if "sessions_spawn" not in names)
    assert "sessions_list" not in deepest


def test_only_allowed_agents_are_started(share_gateway: ShareGateway, provider: ScriptedProvider):
    gateway = share_gateway(family(provider))
    provider.plays(spawn(agentId="beta"), calls("agents_list", {}), says("ok"))
    ask(gateway)
    assert (
        "You may not start the agent 'beta'" in parsed(own(provider)[1]["messages"][-1]["content"])["error"]
    )
    listed = last_result(provider)
    assert ([one["id"] for one in listed["agents"]], listed["allowAny"]) == (["main"], False)
    gateway = share_gateway(family(provider, allowAgents=["*"]))
    provider.plays(spawn(agentId="beta"), calls("sessions_yield", {}), says("ok"))
    provider.plays(says("I am beta."), model=CHILD)
    ask(gateway)
    assert last_result(provider)["results"][0]["agentId"] == "beta"


def test_a_child_that_takes_too_long_is_stopped(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.plays(spawn(runTimeoutSeconds=1), calls("sessions_yield", {}), says("ok"))
    provider.plays([text("…"), hang()], model=CHILD)
    ask(gateway)
    assert last_result(provider)["results"][0]["status"] == "timeout"


def test_children_are_listed_awaited_and_cancelled(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.plays(
        spawn(taskName="slow"),
        [wait_for(provider.asked(CHILD)), *calls("subagents", {"action": "list"})],
        calls("subagents", {"action": "wait", "taskId": "slow", "timeoutSeconds": 0.1}),
        calls("subagents", {"action": "cancel", "taskId": "slow"}),
        calls("subagents", {"action": "cancel", "taskId": "no-such"}),
        says("ok"),
    )
    provider.plays([text("…"), hang()], model=CHILD)
    ask(gateway)
    results = [parsed(one["messages"][-1]["content"]) for one in own(provider)[2:]]
    assert [one["subagents"][0]["status"] for one in results[:3]] == ["running", "running", "aborted"]
    assert "no sub-agent" in results[3]["error"]
    provider.wait_for_leaving()


def test_a_session_of_a_child_is_deleted_if_it_is_not_to_be_kept(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    provider.plays(spawn(cleanup="delete"), calls("sessions_yield", {}), says("ok"))
    provider.plays(says("done"), model=CHILD)
    ask(gateway, "parent")
    with operator(gateway) as client:
        wait_until(lambda: children(client) == [], PATIENCE, "deleted session")


def test_one_session_asks_another(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.plays(says("Noted."))
    ask(gateway, "archive", "The crane is blue.")
    sent = {"sessionKey": "archive", "message": "Which colour?"}
    provider.plays(calls("sessions_send", sent), says("Blue."), says("It is blue."))
    assert ask(gateway, "asking").text == "It is blue."
    asked, told = own(provider)[-2:]
    assert [one["content"] for one in asked["messages"][1:3]] == ["The crane is blue.", "Noted."]
    assert asked["messages"][-1]["content"].endswith("Which colour?")
    assert "session agent:main:asking" in asked["messages"][-1]["content"]
    assert "sessions_send" not in {one["function"]["name"] for one in asked["tools"]}
    assert "Blue." in told["messages"][-1]["content"]
    assert "EXTERNAL_UNTRUSTED" in told["messages"][-1]["content"]


def test_a_message_need_not_wait_for_its_answer(gateway: GatewayProcess, provider: ScriptedProvider):
    go_on = threading.Event()
    sent = {"sessionKey": "archive", "message": "Note this", "timeoutSeconds": 0}
    provider.plays(calls("sessions_send", sent))
    provider.always([wait_for(go_on), *says("ok")])
    asked = threading.Thread(target=ask, args=(gateway, "asking"))
    asked.start()
    provider.wait_for_requests(3)
    go_on.set()
    asked.join(PATIENCE)
    told = [one for one in provider.requests if one["messages"][-1]["role"] == "tool"]
    assert parsed(told[0]["messages"][-1]["content"])["status"] == "accepted"


def test_nobody_asks_itself(gateway: GatewayProcess, provider: ScriptedProvider):
    for key in ("asking", "agent:main:asking", "current"):
        provider.plays(calls("sessions_send", {"sessionKey": key, "message": "hello"}), says("ok"))
        ask(gateway, "asking")
        assert "this very session" in result(provider)["error"]


def test_who_stops_asking_stops_the_answer(gateway: GatewayProcess, provider: ScriptedProvider):
    sent = {"sessionKey": "archive", "message": "Think", "timeoutSeconds": 60}
    provider.plays(calls("sessions_send", sent), [text("…"), hang()])
    with gateway.stream("Do it"):
        provider.wait_for_requests(2)
    provider.wait_for_leaving()


def test_a_gateway_that_stops_ends_children(start_gateway: StartGateway, provider: ScriptedProvider):
    gateway = start_gateway(family(provider))
    provider.plays(spawn(), says("later"))
    provider.plays([text("…"), hang()], model=CHILD)
    ask(gateway, "parent")
    wait_until(lambda: own(provider, CHILD), PATIENCE, "child")
    assert gateway.stop() == 0
    assert "Traceback" not in gateway.log


def test_a_turn_cannot_go_on_by_itself_without_end(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.always(says("done"), model=CHILD)
    for _ in range(40):
        provider.plays(spawn(), says("And again."))
    ask(gateway, "parent")
    wait_until(
        lambda: any("gone on by yourself" in json.dumps(one["messages"][-1]) for one in own(provider)),
        PATIENCE,
        "end of the chain",
    )
    wait_until(lambda: provider.open == 0, PATIENCE, "rest")
    assert len(own(provider, CHILD)) == 10


def test_a_tree_has_the_sessions_that_were_started_in_it(
    share_gateway: ShareGateway, provider: ScriptedProvider
):
    config = family(provider)
    config["tools"] = {"sessions": {"visibility": "tree"}}
    gateway = share_gateway(config)
    ask(gateway, "apart")
    provider.plays(
        spawn(), calls("sessions_yield", {}), calls("sessions_list", {}, call_id="call_9"), says("ok")
    )
    provider.plays(spawn("deeper"), calls("sessions_yield", {}), says("deep"), says("done"), model=CHILD)
    ask(gateway, "parent")
    rows = last_result(provider)["sessions"]
    own_row, *started = sorted(rows, key=lambda row: len(row["key"]))
    assert own_row["key"] == "agent:main:parent"
    assert len(started) == 2
    assert {row["spawnedBy"] for row in started} <= {row["key"] for row in rows}
    child = started[0]["key"]
    provider.plays(calls("sessions_history", {"sessionKey": child}), says("ok"))
    ask(gateway, "parent")
    assert last_result(provider)["messages"]
    provider.plays(calls("sessions_history", {"sessionKey": child}), says("ok"))
    ask(gateway, "apart")
    assert last_result(provider)["status"] == "error"


def test_a_reset_session_gets_no_result_of_before(gateway: GatewayProcess, provider: ScriptedProvider):
    go_on = threading.Event()
    provider.plays(spawn(), says("Started."))
    provider.plays([wait_for(go_on), *says("Four cranes.")], model=CHILD)
    ask(gateway, "parent")
    with operator(gateway) as client:
        client.call("sessions.reset", {"key": "parent"})
        go_on.set()
        wait_until(lambda: not any(one.get("hasActiveRun") for one in children(client)), PATIENCE, "end")
    wait_until(lambda: "no session any more" in gateway.log, PATIENCE, "word about it")
    assert len(own(provider)) == 2


def test_a_child_does_not_wait_for_the_slot_of_its_parent(
    share_gateway: ShareGateway, provider: ScriptedProvider
):
    config = family(provider)
    config["agents"]["list"][0]["maxConcurrent"] = 1
    gateway = share_gateway(config)
    provider.plays(spawn(), calls("sessions_yield", {}), says("ok"))
    provider.plays(says("done"), model=CHILD)
    ask(gateway)
    assert last_result(provider)["results"][0]["status"] == "done"


@pytest.mark.parametrize("where", [["--local"], ["--local", "--session-key", "parent"], []])
def test_a_parent_at_the_command_line(gateway: GatewayProcess, provider: ScriptedProvider, where: list[str]):
    provider.plays(spawn(), calls("sessions_yield", {}), says("There are four."))
    provider.plays(says("Four cranes."), model=CHILD)
    done = gateway.command("agent", *where, "-m", "Do it")
    assert (done.returncode, done.stdout) == (0, "There are four.\n"), done.stderr
    assert last_result(provider)["results"][0]["result"] == "Four cranes."
    provider.reset()
    provider.plays(spawn(), [wait_for(provider.asked(CHILD)), *says("I do not wait.")])
    provider.always([text("…"), hang()], model=CHILD)
    done = gateway.command("agent", "--local", "-m", "Do it")
    assert (done.returncode, done.stdout) == (0, "I do not wait.\n")
    assert "Traceback" not in done.stderr
    wait_until(lambda: provider.open == 0, PATIENCE, "end of the child")
