"""An agent with tools, through a real gateway: model, tools, model, answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.gateway import Answer, GatewayProcess, agent_config
from tests.support.provider import ScriptedProvider, done, finish, says, text, tool_call, usage

if TYPE_CHECKING:
    from tests.e2e.conftest import StartGateway


def calls(name: str, arguments: dict[str, Any] | str, call_id: str = "call_1", before: str = "") -> list[Any]:
    """A model's turn that calls one tool, after some text."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    said = [text(before)] if before else []
    return [*said, tool_call(0, call_id, name, written), finish("tool_calls"), usage(10, 5), done()]


def ask(gateway: GatewayProcess, **more: Any) -> Answer:
    return gateway.chat({"model": "openclaw", "messages": [{"role": "user", "content": "Do it"}], **more})


def test_a_tool_is_called_and_its_result_goes_back_to_the_model(
    start_gateway: StartGateway, provider: ScriptedProvider
):
    gateway = start_gateway(agent_config(provider.url))
    provider.plays(calls("progress_card", {"markdown": "half"}, before="One moment."), says("All ", "done."))
    answer = ask(gateway)
    assert answer.text == "One moment.\n\nAll done."
    message = answer.json["choices"][0]["message"]
    assert "tool_calls" not in message
    assert answer.json["choices"][0]["finish_reason"] == "stop"
    assert answer.json["usage"]["prompt_tokens"] == 10 + 7
    first, second = provider.requests
    assert "progress_card" in [one["function"]["name"] for one in first["tools"]]
    assert [one["role"] for one in second["messages"]][-3:] == ["user", "assistant", "tool"]
    assert second["messages"][-2]["tool_calls"][0]["id"] == "call_1"
    assert second["messages"][-1]["content"] == "The card is shown."


def test_a_stream_has_the_text_of_all_turns_and_no_calls(
    start_gateway: StartGateway, provider: ScriptedProvider
):
    gateway = start_gateway(agent_config(provider.url))
    provider.plays(calls("progress_card", {"markdown": "half"}, before="One moment."), says("All ", "done."))
    events = ask(gateway, stream=True).events()
    deltas = [one["choices"][0]["delta"] for one in events if one != "[DONE]" and one["choices"]]
    assert "".join(one.get("content") or "" for one in deltas) == "One moment.\n\nAll done."
    assert not any("tool_calls" in one for one in deltas)
    assert events[-1] == "[DONE]"


def test_an_unknown_tool_and_malformed_arguments_are_results(
    start_gateway: StartGateway, provider: ScriptedProvider
):
    gateway = start_gateway(agent_config(provider.url))
    provider.plays(calls("no_such", {}), calls("progress_card", '{"markdown": ', "call_2"), says("Sorry."))
    assert ask(gateway).text == "Sorry."
    assert provider.requests[1]["messages"][-1]["content"] == "Tool no_such not found"
    error = json.loads(provider.requests[2]["messages"][-1]["content"])
    assert (error["status"], error["tool"]) == ("error", "progress_card")
    assert "not valid JSON" in error["error"]


def test_the_turns_are_bounded(start_gateway: StartGateway, provider: ScriptedProvider):
    gateway = start_gateway(agent_config(provider.url, maxTurns=2))
    provider.always(calls("progress_card", {"markdown": "x"}))
    answer = ask(gateway)
    assert (answer.status, answer.error["code"]) == (500, "max_turns")
    provider.always(calls("progress_card", {"markdown": "x"}, before="Still at it."))
    answer = ask(gateway)
    assert (answer.status, answer.json["choices"][0]["finish_reason"]) == (200, "length")
    assert answer.text == "Still at it.\n\nStill at it."


def test_a_tool_that_is_allowed_but_does_not_exist_is_named(
    start_gateway: StartGateway, provider: ScriptedProvider
):
    gateway = start_gateway(agent_config(provider.url, {"allow": ["no_such_tool"]}))
    answer = ask(gateway)
    assert (answer.status, answer.error["code"]) == (400, "no_tools_allowed")
    assert "no_such_tool" in answer.error["message"]
    assert provider.requests == []


def test_an_agent_reads_and_edits_a_file_of_its_workspace(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path
):
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "plan.txt").write_text("Step one: tea.\n")
    gateway = start_gateway(agent_config(provider.url, workspace=str(workspace)))
    changed = {"path": "plan.txt", "edits": [{"oldText": "tea", "newText": "coffee"}]}
    provider.plays(calls("read", {"path": "plan.txt"}), calls("edit", changed, "call_2"), says("Done."))
    assert ask(gateway).text == "Done."
    results = [one["content"] for one in provider.requests[-1]["messages"] if one["role"] == "tool"]
    assert results == ["Step one: tea.\n", "Successfully replaced 1 block(s) in plan.txt."]
    assert (workspace / "plan.txt").read_text() == "Step one: coffee.\n"


@pytest.mark.parametrize("tools", [{"profile": "minimal", "alsoAllow": ["ls"]}, {"deny": ["group:fs"]}])
def test_what_is_not_allowed_is_neither_offered_nor_done(
    start_gateway: StartGateway, provider: ScriptedProvider, tmp_path: Path, tools: dict[str, Any]
):
    gateway = start_gateway(agent_config(provider.url, tools, workspace=str(tmp_path / "workspace")))
    provider.plays(calls("write", {"path": "x", "content": "x"}), says("I may not."))
    assert ask(gateway).text == "I may not."
    assert "write" not in [one["function"]["name"] for one in provider.requests[0].get("tools", [])]
    assert not (tmp_path / "workspace" / "x").exists()
