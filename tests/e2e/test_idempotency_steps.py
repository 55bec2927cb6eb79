"""A request that is made again with its key, after its run was cut: its tools do nothing twice."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.test_tool_sessions import APP, calls, roles
from tests.support.gateway import TOKEN, Answer, GatewayProcess, agent_config, read_until
from tests.support.operator import operator
from tests.support.provider import PATIENCE, cut, respond, says, text, wait_until
from tests.support.strict_provider import StrictProvider

AUTH = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
REFUSED = [respond(400, {"error": {"message": "No.", "type": "invalid_request_error"}})]


@pytest.fixture(scope="module")
def _provider() -> Iterator[StrictProvider]:
    with StrictProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def shared(_provider: StrictProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = agent_config(_provider.url)
    config["agents"]["list"].append({"id": "brief", "maxTurns": 1})
    gateway = GatewayProcess(tmp_path_factory.mktemp("steps"), config, app=APP)
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log


@pytest.fixture
def provider(_provider: StrictProvider) -> StrictProvider:
    _provider.reset()
    return _provider


@pytest.fixture
def gateway(shared: GatewayProcess, provider: StrictProvider) -> GatewayProcess:
    return shared


def send(gateway: GatewayProcess, key: str, **more: Any) -> Answer:
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "Count"}], **more}
    return gateway.request("POST", "/v1/chat/completions", body, {**AUTH, "Idempotency-Key": key})


def counted(provider: StrictProvider) -> list[str]:
    return [one["content"] for one in provider.requests[-1]["messages"] if one["role"] == "tool"]


@pytest.mark.parametrize("more", [{}, {"user": "steps"}], ids=["stateless", "session"])
def test_a_failure_behind_a_tool(
    gateway: GatewayProcess, provider: StrictProvider, more: dict[str, Any]
) -> None:
    key = str(uuid.uuid4())
    provider.plays(calls(("c1", "count", {}), before="Counting."), REFUSED, says("Counted."))
    assert send(gateway, key, **more).status == 400
    before = counted(provider)
    answer = send(gateway, key, **more)
    assert (answer.status, answer.text) == (200, "Counting.\n\nCounted.")
    assert counted(provider) == before  # the same call and result, once
    assert roles(provider.requests[-1]["messages"]) == "UCT"
    assert len(provider.requests) == 3
    assert send(gateway, key, **more).json == answer.json


def test_a_stream_that_was_cut_behind_a_tool(gateway: GatewayProcess, provider: StrictProvider) -> None:
    key = str(uuid.uuid4())
    provider.plays(calls(("c1", "count", {}), before="Counting."), [text("Half"), cut()], says("Counted."))
    failed = send(gateway, key, stream=True, user="stream").events()
    assert "error" in failed[-2]
    before = counted(provider)
    whole = send(gateway, key, stream=True, user="stream").events()
    pieces = [one["choices"][0]["delta"].get("content", "") for one in whole[:-1] if one["choices"]]
    assert "".join(pieces) == "Counting.\n\nCounted."
    assert counted(provider) == before
    with operator(gateway) as client:
        rows = client.call("sessions.list", {"search": "stream"})["sessions"]
        history = client.call("chat.history", {"sessionKey": rows[0]["key"]})["messages"]
    assert "Half" not in json.dumps(history)
    assert [one["role"] for one in history].count("user") == 1


def test_a_client_that_left_while_the_tool_was_at_work(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    key = str(uuid.uuid4())
    provider.plays(calls(("c1", "wait", {}), before="At once."), says("Where were we?"))
    with gateway.stream("Count", events="tools", user="left", headers={"Idempotency-Key": key}) as stream:
        read_until(stream, b"tool.update")
    # Until its leaving is noticed, the same request joins the run.
    wait_until(lambda: gateway.metric("openclaw_active_runs") == 0, PATIENCE, "the end of the run")
    assert send(gateway, key, user="left").text == "At once.\n\nWhere were we?"
    (result,) = counted(provider)
    assert "may or may not have taken effect" in result


def test_a_turn_that_used_up_its_turns_begins_anew(gateway: GatewayProcess, provider: StrictProvider) -> None:
    key = str(uuid.uuid4())
    provider.plays(calls(("c1", "count", {})), says("Straight away."))
    failed = send(gateway, key, model="openclaw:brief", user="brief")
    assert failed.error["code"] == "max_turns"
    assert send(gateway, key, model="openclaw:brief", user="brief").text == "Straight away."
    assert roles(provider.requests[-1]["messages"]) == "U"
