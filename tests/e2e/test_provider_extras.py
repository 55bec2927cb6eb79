"""What a provider wants back with its model's tool calls is kept, and returned to that provider only."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.e2e.conftest import ShareGateway
from tests.support.gateway import GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, Step, done, finish, reasoning, says, text

TOOLS = [{"type": "function", "function": {"name": "f"}}]
SIGNATURE = {"google": {"thought_signature": "c2lnbmF0dXJl"}}
DETAILS = [{"type": "reasoning.encrypted", "data": "AAAA"}]
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "21"}


def signed_call(index: int = 0, call_id: str = "c1", **more: Any) -> Step:
    function = {"name": "f", "arguments": "{}"}
    call = {"index": index, "id": call_id, "type": "function", "function": function, **more}
    return ("delta", {"tool_calls": [call]})


GEMINI = [signed_call(extra_content=SIGNATURE), finish("tool_calls"), done()]
LITELLM = [signed_call(provider_specific_fields={"thought_signature": "x"}), finish("tool_calls"), done()]
DEEPSEEK = [reasoning("I need "), reasoning("the weather."), signed_call(), finish("tool_calls"), done()]
OPENROUTER = [
    ("delta", {"reasoning_details": DETAILS[:1]}),
    signed_call(),
    ("delta", {"reasoning_details": DETAILS[:1]}),
    finish("tool_calls"),
    done(),
]
CLAUDE = [
    ("delta", {"thinking_blocks": [{"type": "thinking", "thinking": "I need "}]}),
    ("delta", {"thinking_blocks": [{"type": "thinking", "thinking": "the weather."}]}),
    ("delta", {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s"}]}),
    signed_call(),
    finish("tool_calls"),
    done(),
]
BLOCK = {"type": "thinking", "thinking": "I need the weather.", "signature": "s"}
ANSWERS = {
    "gemini": (GEMINI, {}, {"extra_content": SIGNATURE}),
    "litellm": (LITELLM, {}, {"provider_specific_fields": {"thought_signature": "x"}}),
    "deepseek": (DEEPSEEK, {"reasoning_content": "I need the weather."}, {}),
    "claude behind litellm": (CLAUDE, {"thinking_blocks": [BLOCK]}, {}),
    "openrouter": (OPENROUTER, {"reasoning_details": DETAILS * 2}, {}),
}


@pytest.fixture
def gateway(share_gateway: ShareGateway, provider: ScriptedProvider) -> GatewayProcess:
    """A gateway with two providers, `test` and `other`, behind one address."""
    config = config_for(provider.url)
    providers = config["models"]["providers"]
    providers["other"] = {**providers["test"]}
    return share_gateway(config)


def ask(gateway: GatewayProcess, messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The message of the answer."""
    headers = {"x_openclaw_model": more.pop("model")} if "model" in more else {}
    answer = gateway.chat({"messages": messages, "tools": TOOLS, **more}, **headers)
    assert answer.status == 200, answer.body
    message: dict[str, Any] = answer.json["choices"][0]["message"]
    return message


def streamed(gateway: GatewayProcess, messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The message of the answer, put together from the pieces of a stream as clients do it."""
    answer = gateway.chat({"messages": messages, "tools": TOOLS, "stream": True, **more})
    message: dict[str, Any] = {"tool_calls": []}
    for event in answer.events()[:-1]:
        for choice in event["choices"]:
            delta = choice["delta"]
            for call in delta.pop("tool_calls", ()):
                if call.pop("index") == len(message["tool_calls"]):
                    message["tool_calls"].append(call)
                else:
                    function = call.pop("function", {})
                    message["tool_calls"][-1]["function"]["arguments"] += function.get("arguments", "")
                    message["tool_calls"][-1] |= call
            message |= delta
    return message


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("how", [ask, streamed])
@pytest.mark.parametrize("session", [False, True])
def test_it_is_returned_when_the_caller_resends_it(
    gateway: GatewayProcess, provider: ScriptedProvider, kind: str, how: Any, session: bool
) -> None:
    script, of_message, of_call = ANSWERS[kind]
    more = {"user": str(uuid.uuid4())} if session else {}
    question = [{"role": "user", "content": "one"}]
    provider.plays(script, says("done"))
    called = how(gateway, question, **more)
    assert of_message.items() <= called.items()
    assert of_call.items() <= called["tool_calls"][0].items()
    called.setdefault("content", None)
    ask(gateway, [*question, called, RESULT], **more)
    sent = provider.requests[-1]["messages"][2]
    wanted = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, **of_call}
    assert {**sent, "content": None} == {
        "role": "assistant",
        "content": None,
        "tool_calls": [wanted],
        **of_message,
    }


@pytest.mark.parametrize("kind", ANSWERS)
def test_it_is_returned_from_the_session(
    gateway: GatewayProcess, provider: ScriptedProvider, kind: str
) -> None:
    script, of_message, of_call = ANSWERS[kind]
    provider.plays(script, says("done"), says("again"))
    ask(gateway, [{"role": "user", "content": "one"}], user="kept")
    for message in (RESULT, {"role": "user", "content": "two"}):
        ask(gateway, [message], user="kept")
        sent = provider.requests[-1]["messages"][2]
        assert of_message.items() <= sent.items()
        assert of_call.items() <= sent["tool_calls"][0].items()


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("session", [False, True])
def test_another_provider_gets_nothing_of_it(
    gateway: GatewayProcess, provider: ScriptedProvider, kind: str, session: bool
) -> None:
    more = {"user": str(uuid.uuid4())} if session else {}
    question = [{"role": "user", "content": "one"}]
    provider.plays(ANSWERS[kind][0], says("done"))
    called = ask(gateway, question, **more)
    ask(gateway, [*question, called, RESULT], model="other/test", **more)
    sent = provider.requests[-1]["messages"][2]
    assert sent.keys() == {"role", "content", "tool_calls"}
    assert sent["tool_calls"][0].keys() == {"id", "type", "function"}


def test_what_a_caller_resends_in_its_own_way_is_for_the_provider_that_is_asked(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    call = {"id": "c1", "function": {"name": "f", "arguments": "{}"}, "extra_content": SIGNATURE, "index": 0}
    called = {"role": "assistant", "tool_calls": [call], "reasoning_content": "hm", "reasoning_details": 7}
    ask(gateway, [{"role": "user", "content": "one"}, called, RESULT])
    sent = provider.requests[-1]["messages"][2]
    assert (sent["reasoning_content"], sent["tool_calls"][0]["extra_content"]) == ("hm", SIGNATURE)
    assert "reasoning_details" not in sent
    assert "index" not in sent["tool_calls"][0]


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_without_calls_stays_inside(
    gateway: GatewayProcess, provider: ScriptedProvider, stream: bool
) -> None:
    provider.plays([reasoning("secret thoughts"), text("hi"), finish(), done()])
    answer = gateway.ask("one", user="thoughts", stream=stream)
    assert b"secret" not in answer.body
    gateway.chat({"user": "thoughts", "messages": [{"role": "user", "content": "two"}]})
    assert "secret" not in str(provider.requests[-1])


@pytest.mark.parametrize("session", [None, "odd"])
def test_what_cannot_be_returned_is_ignored(
    gateway: GatewayProcess, provider: ScriptedProvider, session: str | None
) -> None:
    deep: Any = {"a": None}
    for _ in range(400):
        deep = {"a": deep}
    for odd in (deep, {"a": 10**40}, 7, "text", []):
        call = {"id": "c1", "function": {"name": "f", "arguments": "{}"}, "extra_content": odd}
        called = {"role": "assistant", "tool_calls": [call], "reasoning_details": [odd], "content": None}
        ask(gateway, [{"role": "user", "content": "one"}, called, RESULT], user=session)
    provider.plays([signed_call(extra_content=deep), finish("tool_calls"), done()])
    ask(gateway, [{"role": "user", "content": "two"}], user=session)
