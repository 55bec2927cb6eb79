"""The official `openai` package, as people use it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from openai import AsyncOpenAI, AuthenticationError, NotFoundError, OpenAI

from tests.support.gateway import TOKEN, GatewayProcess
from tests.support.provider import ScriptedProvider, says


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN, max_retries=0) as client:
        yield client


HI = [{"role": "user", "content": "hi"}]


def test_a_plain_completion(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="openclaw:main", messages=HI)
    assert answer.choices[0].message.content == "echo: hi"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        7,
        2,
        9,
    )


def test_a_stream_with_usage(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="openclaw", messages=HI, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "echo: hi"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 9


def test_async_plain_and_streaming(gateway: GatewayProcess) -> None:
    async def talk() -> tuple[str | None, str]:
        async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN) as client:
            plain = await client.chat.completions.create(model="openclaw", messages=HI)
            stream = await client.chat.completions.create(model="openclaw", messages=HI, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return plain.choices[0].message.content, "".join(pieces)

    assert asyncio.run(talk()) == ("echo: hi", "echo: hi")


def test_a_user_goes_on_with_a_session_and_two_users_are_apart(
    client: OpenAI, provider: ScriptedProvider
) -> None:
    def say(user: str, text: str) -> None:
        client.chat.completions.create(
            model="openclaw", messages=[{"role": "user", "content": text}], user=user
        )

    provider.plays(says("Hello Ann."), says("Hello Bob."), says("You are Ann."))
    say("ann@example.org", "I am Ann.")
    say("bob@example.org", "I am Bob.")
    say("ann@example.org", "Who am I?")
    assert provider.messages(1) == [("system", "You are main."), ("user", "I am Bob.")]
    assert provider.messages(2) == [
        ("system", "You are main."),
        ("user", "I am Ann."),
        ("assistant", "Hello Ann."),
        ("user", "Who am I?"),
    ]


def test_the_agent_is_chosen_by_model(client: OpenAI, provider: ScriptedProvider) -> None:
    client.chat.completions.create(model="openclaw:beta", messages=HI)
    assert provider.messages()[0] == ("system", "You are beta.")


def test_models_are_listed_and_found(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names == ["openclaw", "openclaw/default", "openclaw/main", "openclaw/beta"]
    assert client.models.retrieve("openclaw/beta").owned_by == "openclaw"
    with pytest.raises(NotFoundError):
        client.models.retrieve("gpt-4o")


def test_a_wrong_secret_is_refused(gateway: GatewayProcess) -> None:
    with (
        OpenAI(base_url=f"{gateway.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(AuthenticationError, match="Unauthorized"),
    ):
        client.chat.completions.create(model="openclaw", messages=HI)
