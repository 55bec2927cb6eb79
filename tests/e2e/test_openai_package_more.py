"""The official `openai` package: tools, leaving, and what it throws."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.support import weather
from tests.support.gateway import TOKEN, GatewayProcess
from tests.support.provider import ScriptedProvider, cut, hang, respond, says, text

HI: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN, max_retries=0) as client:
        yield client


def ask(client: OpenAI, way: str, messages: list[Any], user: str | None) -> Any:
    body: dict[str, Any] = {"model": "openclaw", "messages": messages, "tools": [weather.TOOL]}
    if user is not None:
        body["user"] = user
    if way == "plain":
        return client.chat.completions.create(**body).choices[0]
    with client.chat.completions.stream(**body) as stream:
        return stream.get_final_completion().choices[0]


def results_of(choice: Any) -> list[Any]:
    """What the caller's tool answers to each call."""
    return [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "content": weather.WEATHER[json.loads(call.function.arguments)["city"]],
        }
        for call in choice.message.tool_calls
    ]


@pytest.mark.parametrize("user", [None, "resends"])
@pytest.mark.parametrize("way", ["plain", "stream"])
def test_a_tool_loop_that_resends_everything(
    client: OpenAI, provider: ScriptedProvider, way: str, user: str | None
) -> None:
    provider.plays(weather.ASKS, weather.TELLS)
    user = user and f"{user}-{way}"
    messages: list[Any] = [{"role": "user", "content": weather.QUESTION}]
    first = ask(client, way, messages, user)
    assert first.finish_reason == "tool_calls"
    assert [call.function.name for call in first.message.tool_calls] == ["get_weather", "get_weather"]
    messages += [first.message.model_dump(exclude_none=True), *results_of(first)]
    last = ask(client, way, messages, user)
    assert (last.finish_reason, last.message.content) == ("stop", weather.ANSWER)
    assert provider.requests[0]["tools"] == [weather.TOOL]
    assert provider.requests[1]["messages"] == weather.SHOWN


@pytest.mark.parametrize("way", ["plain", "stream"])
def test_a_tool_loop_that_leaves_the_history_to_the_session(
    client: OpenAI, provider: ScriptedProvider, way: str
) -> None:
    provider.plays(weather.ASKS, weather.TELLS, says("Rome."))
    user = f"relies-{way}"
    first = ask(client, way, [{"role": "user", "content": weather.QUESTION}], user)
    assert ask(client, way, results_of(first), user).message.content == weather.ANSWER
    assert provider.requests[1]["messages"] == weather.SHOWN
    question: Any = {"role": "user", "content": "Where should I take an umbrella?"}
    assert ask(client, way, [question], user).message.content == "Rome."
    answer = {"role": "assistant", "content": weather.ANSWER}
    assert provider.requests[2]["messages"] == [*weather.SHOWN, answer, question]


def test_the_calls_of_a_stream_are_told_apart_by_their_index(
    client: OpenAI, provider: ScriptedProvider
) -> None:
    provider.plays(weather.ASKS)
    stream = client.chat.completions.create(model="openclaw", messages=HI, tools=[weather.TOOL], stream=True)
    arguments = {0: "", 1: ""}
    ids: list[str] = []
    for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            arguments[call.index] += call.function.arguments or ""
            ids += [call.id] if call.id else []
    assert arguments == {0: '{"city":"Paris"}', 1: '{"city":"Rome"}'}
    assert ids == ["call_paris", "call_rome"]


def test_closing_a_stream_reaches_the_provider(client: OpenAI, provider: ScriptedProvider) -> None:
    provider.plays([text("begun"), hang()])
    stream = client.chat.completions.create(model="openclaw", messages=HI, stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    provider.wait_for_leaving()


def test_a_timeout_of_the_client_reaches_the_provider(client: OpenAI, provider: ScriptedProvider) -> None:
    provider.always([hang()])
    seconds = 0.5
    while not provider.requests:  # on a busy machine its time may be over before the provider is asked
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=seconds).chat.completions.create(model="openclaw", messages=HI)
        seconds *= 3
    provider.wait_for_leaving()


@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_value_is_a_bad_request(client: OpenAI, provider: ScriptedProvider, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="openclaw", messages=HI, temperature=9, stream=stream)
    assert caught.value.param == "temperature"
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id
    assert provider.requests == []


def test_an_unknown_model_is_not_found(client: OpenAI, provider: ScriptedProvider) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=HI)
    assert caught.value.code == "model_not_found"
    assert provider.requests == []


def test_a_rate_limit_keeps_the_providers_time(client: OpenAI, provider: ScriptedProvider) -> None:
    provider.always([respond(429, {"error": {"message": "slow down"}}, Retry_After="17")])
    begun = time.monotonic()
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="openclaw", messages=HI)
    assert caught.value.response.headers["Retry-After"] == "17"
    assert caught.value.code == "rate_limit_exceeded"
    assert time.monotonic() - begun < 17


def test_the_package_comes_again_after_a_rate_limit(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    busy = [respond(429, {"error": {"message": "slow down"}}, Retry_After="1")]
    provider.plays(busy, busy, busy, says("at last"))
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN, max_retries=1) as client:
        answer = client.chat.completions.create(model="openclaw", messages=HI)
    assert answer.choices[0].message.content == "at last"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ([text("half"), cut()], openai.InternalServerError),
        ([respond(401, {"error": {"message": "no such key"}})], openai.InternalServerError),
        ([respond(400, {"error": {"message": "too odd"}})], openai.BadRequestError),
    ],
)
def test_a_providers_failure_is_of_the_right_class(
    client: OpenAI, provider: ScriptedProvider, failure: Any, kind: type[openai.APIStatusError]
) -> None:
    provider.always(failure)
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model="openclaw", messages=HI)
    assert "provider-key-canary" not in str(caught.value)


def test_a_failure_in_mid_stream_is_thrown_after_what_was_said(
    client: OpenAI, provider: ScriptedProvider
) -> None:
    provider.plays([text("half an ans"), cut()])
    heard: list[str] = []

    def listen() -> None:
        for chunk in client.chat.completions.create(model="openclaw", messages=HI, stream=True):
            heard.append(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIError) as caught:
        listen()
    assert "".join(heard) == "half an ans"
    assert caught.value.code == "upstream_truncated"
