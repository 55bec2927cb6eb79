"""Sessions of agents with tools: what is stored, what a client's next request means, what a death leaves."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import GatewayProcess, agent_config, read_until
from tests.support.operator import operator
from tests.support.provider import done, finish, hang, says, text, tool_call, usage, wait_until
from tests.support.strict_provider import StrictProvider

APP = "tests.support.tools_wsgi:app"
LOOKUP = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}


def calls(*wanted: tuple[str, str, dict[str, Any]], before: str = "") -> list[Any]:
    """A model's turn with calls (id, name, arguments), after some text."""
    said = [text(before)] if before else []
    asked = [
        tool_call(index, call_id, name, json.dumps(arguments))
        for index, (call_id, name, arguments) in enumerate(wanted)
    ]
    return [*said, *asked, finish("tool_calls"), usage(10, 5), done()]


@pytest.fixture
def provider() -> Iterator[StrictProvider]:
    with StrictProvider() as strict:
        yield strict


@pytest.fixture
def gateway(start_gateway: StartGateway, provider: StrictProvider) -> GatewayProcess:
    return start_gateway(agent_config(provider.url), app=APP)


class Client:
    """A chat client that keeps the conversation and resends it all."""

    def __init__(self, gateway: GatewayProcess, **more: Any) -> None:
        self.gateway, self.more = gateway, more
        self.view: list[dict[str, Any]] = []

    def say(self, words: str) -> dict[str, Any]:
        return self.send({"role": "user", "content": words})

    def send(self, *messages: dict[str, Any]) -> dict[str, Any]:
        self.view += messages
        answer = self.gateway.chat({"model": "openclaw", "user": "ann", "messages": self.view, **self.more})
        assert answer.status == 200, answer.body
        message: dict[str, Any] = answer.json["choices"][0]["message"]
        self.view.append(message)
        return message


def roles(messages: list[dict[str, Any]]) -> str:
    """The conversation without its system prompt, a letter a message: User, Assistant, Calls, Tool."""
    letters = {"user": "U", "assistant": "A", "tool": "T"}
    return "".join("C" if one.get("tool_calls") else letters.get(one["role"], "") for one in messages)


def test_a_client_that_resends_everything_loses_and_doubles_nothing(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    client = Client(gateway)
    provider.plays(
        calls(("c1", "say", {"text": "12"}), before="Let me look."),
        calls(("c1", "say", {"text": "30"}), before="And there."),
        says("It is 42."),
        says("As I said."),
    )
    assert client.say("How much?")["content"] == "Let me look.\n\nAnd there.\n\nIt is 42."
    client.say("Sure?")
    sent = provider.requests[-1]["messages"]
    assert roles(sent) == "UCTCTAU"
    assert [one["content"] for one in sent if one["role"] == "tool"] == ["12", "30"]
    provider.plays(says("Yes, 42."))
    del client.view[-2:]  # a regeneration
    client.say("Sure?")
    assert roles(provider.requests[-1]["messages"]) == "UCTCTAU"
    provider.plays(says("Fine."))
    client.view = client.view[-1:]  # a window
    client.say("Thanks.")
    assert roles(provider.requests[-1]["messages"]) == "UCTCTAUAU"
    provider.plays(says("Less."))
    client.view = []  # an edit of the first question
    other = ("user", "Hm"), ("assistant", "?"), ("user", "x")
    client.send(*({"role": role, "content": words} for role, words in other))
    assert roles(provider.requests[-1]["messages"]) == "UAU"


def test_a_clients_tool_and_the_agents_in_one_turn(gateway: GatewayProcess, provider: StrictProvider) -> None:
    client = Client(gateway, tools=[LOOKUP])
    provider.plays(
        calls(("c1", "say", {"text": "12"}), before="First mine."),
        calls(("c2", "lookup", {"q": 1}), ("c3", "say", {"text": "30"}), before="Now both."),
        calls(("c4", "say", {"text": "1"})),
        says("43."),
        says("Still 43."),
    )
    message = client.say("How much?")
    assert message["content"] == "First mine.\n\nNow both."
    assert [one["id"] for one in message["tool_calls"]] == ["c2"]
    assert client.send({"role": "tool", "tool_call_id": "c2", "content": "yours"})["content"] == "43."
    assert roles(provider.requests[2]["messages"]) == "UCTCTT"
    client.say("Sure?")
    sent = provider.requests[-1]["messages"]
    assert roles(sent) == "UCTCTTCTAU"
    assert [one["content"] for one in sent if one["role"] == "tool"] == ["12", "30", "yours", "1"]


def test_a_run_that_failed_between_its_tools_is_no_obstacle(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    client = Client(gateway)
    provider.plays(says("Hello."))
    client.say("Hi")
    provider.plays(calls(("c1", "say", {"text": "12"}), before="Look:"), [text("It is"), hang()])
    client.view.append({"role": "user", "content": "How much?"})
    with gateway.stream("", messages=client.view, user="ann") as one:
        read_until(one, b"It is")
    wait_until(lambda: "run aborted" in gateway.log, 30, "the end of the run")
    provider.plays(says("Better."), says("Good."))
    client.say("How much is it?")
    assert roles(provider.requests[-1]["messages"]) == "UAUCTAU"
    client.say("And now?")
    assert roles(provider.requests[-1]["messages"]) == "UAUCTAUAU"


def test_a_killed_gateway_tells_the_next_turn_what_it_was_doing(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    provider.plays(calls(("c1", "say", {"text": "12"}), ("c2", "wait", {}), before="At once."))
    with gateway.stream("Wait for them.", user="ann") as stream:
        read_until(stream, b"At once.")
        database = sqlite3.connect(gateway.state / "gateway.sqlite")
        count = "SELECT count(*) FROM messages WHERE role = 'tool'"
        wait_until(lambda: database.execute(count).fetchone() == (1,), 30, "the first result")
        gateway.kill()
    gateway.start()
    wait_until(
        lambda: database.execute("SELECT state FROM runs").fetchall() == [("interrupted",)], 30, "mark"
    )
    provider.plays(says("I was interrupted."))
    assert gateway.ask("And?", user="ann").text == "I was interrupted."
    sent = provider.requests[-1]["messages"]
    assert roles(sent) == "UCTTU"
    assert sent[-3]["content"] == "12"
    assert "may or may not have taken effect" in sent[-2]["content"]


def test_operators_see_calls_and_results_in_their_place(
    gateway: GatewayProcess, provider: StrictProvider
) -> None:
    provider.plays(calls(("c1", "say", {"text": "12"}), before="Let me look."), says("It is 12."))
    assert gateway.ask("How much?", user="ann").status == 200
    with operator(gateway) as client:
        (row,) = client.call("sessions.list", {"includeDerivedTitles": True, "includeLastMessage": True})[
            "sessions"
        ]
        for method in ("sessions.get", "chat.history"):
            name = "sessionKey" if method == "chat.history" else "key"
            shown = client.call(method, {name: row["key"]})["messages"]
            assert [one["role"] for one in shown] == ["user", "assistant", "toolResult", "assistant"]
            text, call = shown[1]["content"]
            assert text == {"type": "text", "text": "Let me look."}
            expected = {"type": "toolCall", "id": "c1", "name": "say", "arguments": {"text": "12"}}
            assert {name: call[name] for name in expected} == expected
            assert (shown[2]["toolCallId"], shown[2]["toolName"]) == ("c1", "say")
            assert shown[2]["content"] == [{"type": "text", "text": "12"}]
        assert (row["derivedTitle"], row["lastMessagePreview"]) == ("How much?", "It is 12.")
        kept = client.call("sessions.compact", {"key": row["key"], "maxLines": 2})
        assert kept["kept"] == 1
        shown = client.call("sessions.get", {"key": row["key"]})["messages"]
        assert [one["role"] for one in shown] == ["assistant"]  # a result does not stay without its call
    provider.plays(says("Yes."))
    assert gateway.ask("Sure?", user="ann").text == "Yes."
    assert roles(provider.requests[-1]["messages"]) == "AU"
