"""What an agent does, as callers over HTTP see it who ask for it, and those who do not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_tool_sessions import APP, calls
from tests.support.approvals import HEADERS, approving_gateway, ask_beside, runs
from tests.support.gateway import Answer, GatewayProcess, agent_config, read_until
from tests.support.operator import Operator, operator
from tests.support.provider import ScriptedProvider, reasoning, says, wait_until

TELL = {"times": 3, "seconds": 0.6, "size": 5}
FIRST = "A moment."


@pytest.fixture(scope="module")
def _provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def provider(_provider: ScriptedProvider) -> ScriptedProvider:
    _provider.reset()
    return _provider


@pytest.fixture(scope="module")
def shared(_provider: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = agent_config(_provider.url)
    config["gateway"]["http"] |= {
        "sse": {"keepaliveSeconds": 0.3},
        "cors": {"origins": ["https://chat.example"]},
    }
    gateway = GatewayProcess(tmp_path_factory.mktemp("events"), config, app=APP)
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log


@pytest.fixture
def gateway(shared: GatewayProcess, provider: ScriptedProvider) -> GatewayProcess:
    return shared


def ask(gateway: GatewayProcess, stream: bool = True, **headers: str) -> Answer:
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "Do it"}], "stream": stream}
    return gateway.chat(body, **headers)


def chunks_of(answer: Answer) -> list[dict[str, Any]]:
    *chunks, end = answer.events()
    assert end == "[DONE]"
    return chunks


def happened(answer: Answer) -> list[dict[str, Any]]:
    """The events of a stream, each in a chunk of the usual form."""
    chunks = chunks_of(answer)
    found = [one for one in chunks if "openclaw" in one]
    assert all(one["choices"] == [] and one.keys() == chunks[0].keys() | {"openclaw"} for one in found)
    return [one["openclaw"] for one in found]


def deltas_of(answer: Answer) -> list[dict[str, Any]]:
    return [one["choices"][0]["delta"] for one in chunks_of(answer) if one["choices"]]


def text_of(answer: Answer) -> str:
    return "".join(one.get("content", "") for one in deltas_of(answer))


@pytest.mark.parametrize("header", ["x_openclaw_events", "x_clawdbot_events"])
def test_a_caller_sees_the_tools_it_asks_for(
    gateway: GatewayProcess, provider: ScriptedProvider, header: str
):
    provider.plays(calls(("c1", "tell", TELL), before=FIRST), says("Done."))
    answer = ask(gateway, **{header: " Tools , approvals"})
    start, *updates, result = happened(answer)
    assert start == {"type": "tool.start", "tool_call_id": "c1", "name": "tell", "arguments": TELL}
    assert {one["type"] for one in updates} == {"tool.update"}
    assert updates[-1]["output"] == "begun\nstep 3"
    assert result.pop("duration_ms") >= 500
    assert result == {
        "type": "tool.result",
        "tool_call_id": "c1",
        "name": "tell",
        "output": "xxxxx",
        "details": {"steps": 3},
        "is_error": False,
    }
    assert text_of(answer) == f"{FIRST}\n\nDone."


def test_others_see_nothing_of_them(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.plays([reasoning("Hm."), *calls(("c1", "tell", TELL), before=FIRST)], says("Done."))
    answer = ask(gateway)
    assert happened(answer) == []
    assert deltas_of(answer) == [
        {"role": "assistant", "content": ""},
        {"content": FIRST},
        {"content": "\n\n"},
        {"content": "Done."},
        {},
    ]
    assert {tuple(one) for one in chunks_of(answer)} == {("id", "object", "created", "model", "choices")}


def test_a_whole_answer_has_them_beside_it(gateway: GatewayProcess, provider: ScriptedProvider):
    turn = calls(("c1", "say", {"text": "hi"}), ("c2", "say", {}), before=FIRST)
    provider.plays([reasoning("Hm."), *turn], says("Done."))
    answer = ask(gateway, stream=False, x_openclaw_events="tools,reasoning")
    assert answer.text == f"{FIRST}\n\nDone."
    assert answer.json["choices"][0]["message"]["reasoning_content"] == "Hm."
    said, failed = answer.json["openclaw"]["tools"]
    assert (said["name"], said["output"], said["is_error"]) == ("say", "hi", False)
    assert (failed["tool_call_id"], failed["arguments"], failed["is_error"]) == ("c2", {}, True)
    provider.plays([reasoning("Hm."), *turn], says("Done."))
    plain = ask(gateway, stream=False).json
    assert "openclaw" not in plain
    assert plain["choices"][0]["message"].keys() == {"role", "content"}


def test_reasoning_comes_as_it_arrives(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.plays([reasoning("I "), reasoning("think."), *says("Yes.")])
    deltas = deltas_of(ask(gateway, x_openclaw_events="reasoning"))
    assert [one["reasoning_content"] for one in deltas if "reasoning_content" in one] == ["I ", "think."]


@pytest.mark.parametrize("stream", [True, False])
def test_an_unknown_word_is_refused_before_anything_is_done(
    gateway: GatewayProcess, provider: ScriptedProvider, stream: bool
):
    answer = ask(gateway, stream, x_openclaw_events="tools,thoughts")
    assert (answer.status, answer.error["param"]) == (400, "x-openclaw-events")
    assert "'thoughts'" in answer.error["message"]
    assert "tools, approvals, reasoning" in answer.error["message"]
    assert provider.requests == []


def test_a_page_may_send_the_header(gateway: GatewayProcess):
    answer = gateway.request(
        "OPTIONS",
        "/v1/chat/completions",
        headers={
            "Origin": "https://chat.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-openclaw-events",
        },
    )
    assert answer.status == 204
    assert "x-openclaw-events" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("deaf", {"seconds": 30}), ("tell", {"times": 2000, "seconds": 30})],
    ids=["silent", "talkative"],
)
def test_keepalives_come_while_a_tool_works(
    gateway: GatewayProcess, provider: ScriptedProvider, tool: str, arguments: dict[str, Any]
):
    provider.plays(calls(("c1", tool, arguments)), says("Done."))
    with gateway.stream("Do it") as stream:
        assert b"Done." not in read_until(stream, b": keepalive", 3)


def test_a_flood_of_news_and_a_huge_result_are_cut(gateway: GatewayProcess, provider: ScriptedProvider):
    flood = {"times": 10_000, "seconds": 0.5, "size": 1_000_000}
    provider.plays(calls(("c1", "tell", flood)), says("Done."))
    start, *updates, result = happened(ask(gateway, x_openclaw_events="tools"))
    assert start["arguments"] == flood
    assert 1 <= len(updates) <= 2 + result["duration_ms"] / 150
    assert len(result["output"]) < 61_000
    assert "940000 more characters" in result["output"]
    assert len(provider.requests[-1]["messages"][-1]["content"]) == 1_000_000


def test_an_approval_is_seen_and_given_by_the_caller_itself(provider: ScriptedProvider, tmp_path: Path):
    gateway = approving_gateway(tmp_path, provider.url).start()

    def pending() -> list[dict[str, Any]]:
        answer = gateway.request("GET", "/v1/approvals", headers=HEADERS)
        listed: list[dict[str, Any]] = answer.json["approvals"]
        return listed

    try:
        provider.plays(runs("echo approved"), says("Done."))
        wanted = {"x_openclaw_approvals": "wait", "x_openclaw_events": "tools,approvals"}
        waiting = ask_beside(gateway, stream=True, **wanted)
        wait_until(lambda: bool(pending()), 30, "an approval")
        [approval] = pending()
        decision = json.dumps({"decision": "allow-once"}).encode()
        gateway.request("POST", f"/v1/approvals/{approval['id']}", decision, HEADERS)
        events = [one for one in happened(waiting.result(60)) if one["type"] != "tool.update"]
    finally:
        gateway.stop()
    start, asked, resolved, result = events
    assert (start["type"], result["type"]) == ("tool.start", "tool.result")
    assert (asked["type"], asked["approval_id"]) == ("approval.requested", approval["id"])
    assert asked["approval"]["presentation"]["commandText"] == "echo approved"
    assert resolved == {
        "type": "approval.resolved",
        "approval_id": approval["id"],
        "tool_call_id": "call_1",
        "decision": "allow-once",
    }
    assert result["output"].strip() == "approved"


def phases(client: Operator, stream: str) -> list[str]:
    return [one["data"]["phase"] for one in client.events("agent") if one["stream"] == stream]


def test_the_same_run_over_websocket(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.plays(calls(("c1", "tell", TELL), before=FIRST), says("Done."))
    with operator(gateway, caps=["tool-events"]) as starter, operator(gateway) as watcher:
        params = {"sessionKey": "seen", "message": "hi", "idempotencyKey": f"run-{time.time()}"}
        starter.call("chat.send", params)
        final = starter.until("chat", state="final")
        assert final["message"]["content"][0]["text"] == "Done."
        final = watcher.until("chat", state="final")
        assert final["message"]["content"][0]["text"] == f"{FIRST}\n\nDone."
        seen = phases(starter, "tool")
        assert (seen[0], set(seen[1:-1]), seen[-1]) == ("start", {"update"}, "result")
        assert phases(watcher, "tool") == []
        for client in (starter, watcher):
            assert [phases(client, "item")[0], phases(client, "item")[-1]] == ["start", "end"]
            assert [phases(client, "lifecycle")[0], phases(client, "lifecycle")[-1]] == ["start", "end"]
        texts = [one["message"]["content"][0]["text"] for one in starter.events("chat") if "message" in one]
        assert texts[0] == FIRST
        data = [one["data"] for one in starter.events("agent")]
        assert "".join(one["delta"] for one in data if "delta" in one) == f"{FIRST}\n\nDone."
