"""What an agent does is told in chunks of their own: clients that do not know them show the answer alone."""

from __future__ import annotations

from typing import Any

import pytest
from openai import OpenAI

from tests.e2e.conftest import StartGateway
from tests.e2e.test_tool_sessions import calls
from tests.interop.conftest import RunScript
from tests.support.gateway import TOKEN, GatewayProcess, agent_config
from tests.support.provider import ScriptedProvider, reasoning, says

pytestmark = pytest.mark.timeout(900)  # the first test installs the clients

ANSWER = "A moment.\n\nDone."
KINDS = ["tool.start", "tool.result"]


@pytest.fixture
def gateway(start_gateway: StartGateway, provider: ScriptedProvider) -> GatewayProcess:
    turn = calls(("c1", "progress_card", {"markdown": "half"}), before="A moment.")
    provider.plays([reasoning("Hm."), *turn], says("Done."))
    return start_gateway(agent_config(provider.url))


@pytest.mark.parametrize("way", ["openai", "stream", "ai", "generate", "langchain", "invoke"])
def test_packages_for_javascript(run_js: RunScript, way: str) -> None:
    said = run_js("events.mjs", way)
    assert said["text"] == ANSWER
    assert said.get("calls", []) == []
    if way == "openai":
        assert said["seen"] == KINDS
    if way in ("ai", "generate"):
        assert said["reasoning"] == "Hm."


@pytest.mark.parametrize("way", ["stream", "invoke"])
def test_langchain(run_langchain: RunScript, way: str) -> None:
    said = run_langchain("events.py", way)
    assert said == {"text": ANSWER, "calls": []}


@pytest.mark.parametrize("way", ["chunks", "stream", "plain"])
def test_the_openai_package(gateway: GatewayProcess, way: str) -> None:
    client = OpenAI(
        base_url=f"{gateway.url}/v1",
        api_key=TOKEN,
        max_retries=0,
        default_headers={"x-openclaw-events": "tools,approvals,reasoning"},
    )
    asked: Any = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
    if way == "chunks":
        chunks = list(client.chat.completions.create(**asked, stream=True))
        assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == ANSWER
        assert [one.openclaw["type"] for one in chunks if hasattr(one, "openclaw")] == KINDS
    elif way == "stream":
        with client.chat.completions.stream(**asked) as stream:
            message = stream.get_final_completion().choices[0].message
        assert (message.content, message.tool_calls) == (ANSWER, None)
    else:
        completion: Any = client.chat.completions.create(**asked)
        assert completion.choices[0].message.content == ANSWER
        assert completion.openclaw["tools"][0]["name"] == "progress_card"
