"""The loop from model to tools and back: its bounds, its order, and what a caller's leaving does to it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.test_tool_sessions import APP, LOOKUP, calls, roles
from tests.support.gateway import TOKEN, GatewayProcess, agent_config, read_until
from tests.support.operator import operator
from tests.support.provider import done, finish, respond, says, tool_call, usage, wait_for, wait_until
from tests.support.strict_provider import StrictProvider

HI = {"role": "user", "content": "Do it"}


@pytest.fixture(scope="module")
def _strict() -> Iterator[StrictProvider]:
    with StrictProvider() as strict:
        yield strict


@pytest.fixture
def provider(_strict: StrictProvider) -> StrictProvider:
    _strict.reset()
    return _strict


@pytest.fixture(scope="module")
def shared(_strict: StrictProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = agent_config(_strict.url)
    config["agents"]["list"] += [
        {"id": "hasty", "timeoutSeconds": 1},
        {"id": "brief", "maxTurns": 2},
        {"id": "free", "tools": {"loopDetection": {"enabled": False}}},
    ]
    config["agents"]["list"].append(
        {"id": "spare", "model": {"primary": "test/big", "fallbacks": ["small/one"]}}
    )
    config["models"]["providers"]["small"] = config["models"]["providers"]["test"]
    config["tools"] = {"byProvider": {"small": {"deny": ["say"]}}}
    config["gateway"]["http"]["endpoints"]["chatCompletions"]["tools"] = {"deny": ["count"]}
    gateway = GatewayProcess(tmp_path_factory.mktemp("loop"), config, app=APP)
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log


@pytest.fixture
def gateway(shared: GatewayProcess, provider: StrictProvider) -> GatewayProcess:
    return shared


def results(provider: StrictProvider, number: int = -1) -> list[str]:
    """What the tools returned, as one request has it."""
    return [one["content"] for one in provider.requests[number]["messages"] if one["role"] == "tool"]


def test_an_agent_in_a_loop_is_warned_and_stopped(gateway: GatewayProcess, provider: StrictProvider) -> None:
    provider.always(calls(("c1", "say", {"text": "no"}), before="Again."))
    answer = gateway.ask("Go on")
    assert (answer.status, answer.json["choices"][0]["finish_reason"]) == (200, "length")
    assert answer.text == "\n\n".join(["Again."] * 20)
    assert len(provider.requests) == 20
    noted = [number for number, text in enumerate(results(provider), start=1) if text != "no"]
    assert noted == [10]
    provider.always(calls(("c1", "say", {"text": "no"})))
    answer = gateway.ask("Go on")
    assert (answer.status, answer.error["code"]) == (500, "tool_loop")
    assert "same arguments" in answer.error["message"]
    assert gateway.ask("Go on", model="openclaw:free").error["code"] == "max_turns"


def test_calls_of_one_turn_run_beside_each_other_and_come_back_in_order(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    together = [(f"c{number}", "meet", {"count": 3, "name": f"n{number}"}) for number in range(3)]
    provider.plays(calls(*together, ("c3", "say", {"text": "last"})), says("Done."))
    assert gateway.ask("Go").text == "Done."
    assert results(provider) == ["n0 was not alone", "n1 was not alone", "n2 was not alone", "last"]
    ids = [one["id"] for one in provider.requests[-1]["messages"][-5]["tool_calls"]]
    assert ids == ["c0", "c1", "c2", "c3"]


@pytest.mark.parametrize("tool", ["wait", "deaf"])
def test_a_runs_time_passes_inside_a_tool(
    gateway: GatewayProcess, provider: StrictProvider, tool: str
) -> None:
    provider.plays(calls(("c1", tool, {})), says("Still here."))
    answer = gateway.ask("Go", model="openclaw:hasty", user=tool)
    assert (answer.status, answer.error["code"]) == (504, "timeout")
    assert gateway.ask("And?", model="openclaw:hasty", user=tool).text == "Still here."
    assert roles(provider.requests[-1]["messages"]) == "UCTU"
    (result,) = results(provider)
    assert result.startswith("Aborted")
    assert "did not end within 1 s" in result


def test_a_tools_own_time_is_limited(gateway: GatewayProcess, provider: StrictProvider) -> None:
    provider.plays(calls(("c1", "short", {})), says("Too slow."))
    assert gateway.ask("Go").text == "Too slow."
    assert "did not end within 0.2 seconds" in results(provider)[0]


@pytest.mark.parametrize("tool", ["wait", "deaf"])
def test_a_client_that_leaves_ends_its_tools(
    gateway: GatewayProcess, provider: StrictProvider, tool: str
) -> None:
    provider.plays(calls(("c1", tool, {}), before="At once."), says("Where were we?"))
    user = f"leaves-{tool}"
    with gateway.stream("Go", events="tools", user=user) as stream:
        read_until(stream, b"at work")
    left_at = time.monotonic()
    wait_until(lambda: gateway.metric("openclaw_active_runs") == 0, 30, "the end of the run")
    assert time.monotonic() - left_at < 10  # a second, on a machine that does nothing else
    assert gateway.ask("And?", user=user).text == "Where were we?"
    assert roles(provider.requests[-1]["messages"]) == "UCTU"


def test_results_are_capped(gateway: GatewayProcess, provider: StrictProvider) -> None:
    provider.plays(calls(("c1", "say", {"text": "x", "times": 1_000_000})), says("Long."))
    assert gateway.ask("Go").text == "Long."
    (result,) = results(provider)
    assert len(result) < 61_000
    assert "more characters were left out" in result


ODD = ('{"a":' * 500 + "1" + "}" * 500, "[" * 500 + "]" * 500, '"' * 7, "[1" * 90_000)


@pytest.mark.parametrize("arguments", ODD, ids=["deep object", "deep list", "quotes", "broken"])
def test_odd_arguments_do_no_harm(gateway: GatewayProcess, provider: StrictProvider, arguments: str) -> None:
    turn = [tool_call(0, "c1", "say", arguments), finish("tool_calls"), usage(1, 1), done()]
    provider.plays(turn, turn, says("Odd."), says("Still."))
    user = f"odd {len(arguments)}"
    assert gateway.ask("Go", user=user).text == "Odd."
    view = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": "Odd."}]
    ask = {"model": "openclaw", "user": user, "tools": [LOOKUP]}
    assert gateway.chat({**ask, "messages": [*view, HI]}).text == "Still."
    assert roles(provider.requests[-1]["messages"]) == "UCTCTAU"
    call = {"id": "c9", "type": "function", "function": {"name": "lookup", "arguments": arguments}}
    result = {"role": "tool", "tool_call_id": "c9", "content": "1"}
    view += [{"role": "assistant", "tool_calls": [call]}, result]
    assert gateway.chat({**ask, "messages": view}).status == 200
    assert gateway.chat({**ask, "messages": [*view, {"role": "assistant", "content": "1"}, HI]}).status == 200
    with operator(gateway, caps=["tool-events"]) as client:
        provider.plays(turn, says("Seen."))
        client.call("chat.send", {"sessionKey": user, "message": "Go", "idempotencyKey": user})
        client.until("chat", state="final")
        shown = client.call("chat.history", {"sessionKey": user})["messages"]
    assert [one["role"] for one in shown] == ["user", "assistant", "toolResult", "assistant"]
    provider.plays(turn, says("Told."))
    told = gateway.chat({**ask, "messages": [HI], "stream": True}, x_openclaw_events="tools")
    assert b"Told." in told.body
    provider.plays(turn, says("Told."))
    assert gateway.chat({**ask, "messages": [HI]}, x_openclaw_events="tools").text == "Told."


def test_a_turn_makes_a_bounded_number_of_calls(gateway: GatewayProcess, provider: StrictProvider) -> None:
    many = [(f"c{number}", "say", {"text": str(number)}) for number in range(120)]
    provider.plays(calls(*many), says("Many."))
    assert gateway.ask("Go").text == "Many."
    made = [text for text in results(provider) if not text.startswith("This call was not made")]
    assert made == [str(number) for number in range(100)]
    assert len(results(provider)) == 120


def test_images_of_tools_are_shown_in_a_message_of_the_user(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    both = calls(("c1", "picture", {}), ("c2", "say", {"text": "and"}))
    provider.plays(both, says("A dot."), says("Grey."))
    assert gateway.ask("Look", user="painter").text == "A dot."
    sent = provider.requests[-1]["messages"]
    assert roles(sent) == "UCTTU"
    assert [one["content"] for one in sent[-3:-1]] == ["A picture.", "and"]
    kinds = [part["type"] for part in sent[-1]["content"]]
    assert kinds == ["text", "image_url"]
    assert gateway.ask("Colour?", user="painter").text == "Grey."
    assert roles(provider.requests[-1]["messages"]) == "UCTTUAU"


def test_usage_is_that_of_all_turns(gateway: GatewayProcess, provider: StrictProvider) -> None:
    provider.plays(calls(("c1", "say", {"text": "1"})), calls(("c2", "say", {"text": "2"})), says("3"))
    used = gateway.ask("Go").json["usage"]
    assert used["prompt_tokens"] == 10 + 10 + 7


def test_what_a_run_used_before_it_failed_counts(gateway: GatewayProcess, provider: StrictProvider) -> None:
    before = gateway.metric('openclaw_tokens_total{kind="prompt"}')
    provider.plays(calls(("c1", "say", {"text": "1"})), calls(("c2", "say", {"text": "2"})))
    failed = gateway.ask("Go", model="openclaw:brief", user="failing")
    assert failed.error["code"] == "max_turns"
    assert gateway.metric('openclaw_tokens_total{kind="prompt"}') == before + 20
    with operator(gateway) as client:
        sessions = client.call("sessions.list", {"search": "failing"})["sessions"]
        (row,) = [one for one in sessions if one["label"] == "failing"]
    assert row["inputTokens"] == 20


def test_the_agents_own_tool_can_be_demanded_for_the_first_turn(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    choice = {"type": "function", "function": {"name": "say"}}
    provider.plays(calls(("c1", "say", {"text": "1"})), says("Said."))
    assert gateway.ask("Go", tool_choice=choice).text == "Said."
    assert [one.get("tool_choice") for one in provider.requests] == [choice, "auto"]
    wrong = {"type": "function", "function": {"name": "count"}}  # denied for HTTP
    answer = gateway.ask("Go", tool_choice=wrong)
    assert (answer.status, answer.error["param"]) == (400, "tool_choice")


def test_a_tool_that_is_denied_where_the_run_came_from_is_not_called(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    provider.plays(calls(("c1", "count", {})), says("No."))
    assert gateway.ask("Go").text == "No."
    assert "count" not in [one["function"]["name"] for one in provider.requests[0]["tools"]]
    assert results(provider) == ["Tool count not found"]
    assert "tool not available" in gateway.log


def test_a_fallback_model_may_not_use_what_is_denied_beneath_it(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    provider.always([respond(404, {"error": {"message": "no such model"}})], model="big")
    provider.plays(calls(("c1", "say", {"text": "1"})), says("Denied."), model="one")
    assert gateway.ask("Go", model="openclaw:spare").text == "Denied."
    assert results(provider) == ["Tool say not found"]


def test_a_tool_that_is_denied_while_a_run_goes_on_is_not_called(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    before = json.loads(gateway.config_path.read_text())
    changed = threading.Event()
    provider.plays(
        calls(("c1", "say", {"text": "1"}), before="First."),
        [wait_for(changed), *calls(("c2", "say", {"text": "2"}))],
        says("Denied."),
    )
    with gateway.stream("Go") as stream:
        read = read_until(stream, b"First.")
        gateway.write_config({**before, "tools": {"deny": ["say"]}})
        wait_until(lambda: "changed configuration in force" in gateway.log, 30, "the reload")
        changed.set()
        read += stream.read()
    assert b"Denied." in read
    assert results(provider) == ["1", "Tool say not found"]
    gateway.write_config(before)
    wait_until(lambda: gateway.log.count("changed configuration in force") == 2, 30, "the reload")


def test_a_client_tool_may_not_have_the_name_of_the_agents(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    answer = gateway.ask("Go", tools=[{"type": "function", "function": {"name": "say"}}])
    assert (answer.status, answer.error["param"]) == (400, "tools")
    assert provider.requests == []


def test_operators_see_which_tools_a_run_used(gateway: GatewayProcess, provider: StrictProvider) -> None:
    provider.plays(calls(("c1", "short", {})), says("Slow."))
    assert gateway.ask("Go").text == "Slow."  # so that there are counts
    before = gateway.metric('openclaw_tool_calls_total{outcome="failed",tool="short"}')
    provider.plays(
        calls(("c1", "say", {"text": "1"})), calls(("c2", "short", {}), ("c3", "nobody", {})), says("3")
    )
    assert gateway.ask("Go").text == "3"
    assert gateway.metric('openclaw_tool_calls_total{outcome="failed",tool="short"}') == before + 1
    assert gateway.metric('openclaw_tool_duration_seconds_count{tool="short"}') == before + 1
    page = gateway.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).body
    assert b"nobody" not in page
    wait_until(lambda: re.search(r"say \d+ ms, short \d+ ms \(failed\)", gateway.log), 30, "the log line")


def test_the_same_agent_answers_over_websocket_and_on_the_command_line(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    script = (calls(("c1", "count", {}), before="One moment."), says("All ", "done."))
    provider.plays(*script)
    with operator(gateway) as client:
        client.call("chat.send", {"sessionKey": "main", "message": "Go", "idempotencyKey": "one"})
        final = client.until("chat", state="final")
    assert final["message"]["content"][0]["text"] == "One moment.\n\nAll done."
    assert results(provider)[0].isdigit()  # what is denied for HTTP is not for others
    provider.plays(*script)
    told = gateway.command("agent", "--message", "Go")
    assert (told.returncode, told.stdout) == (0, "One moment.\n\nAll done.\n")
    assert roles(provider.requests[-1]["messages"]) == "UCTAUCT"
