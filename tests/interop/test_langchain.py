"""LangChain's ChatOpenAI."""

from __future__ import annotations

import pytest

from tests.interop.conftest import RunScript
from tests.support import weather
from tests.support.provider import ScriptedProvider

pytestmark = pytest.mark.timeout(600)  # the first test installs the client


def test_it_invokes(run_langchain: RunScript) -> None:
    said = run_langchain("chat.py", "invoke")
    assert said["text"] == "echo: hi"
    assert said["reason"] == "stop"
    assert (said["usage"]["input_tokens"], said["usage"]["output_tokens"]) == (7, 2)


def test_it_streams(run_langchain: RunScript) -> None:
    said = run_langchain("chat.py", "stream")
    assert said["pieces"] == ["echo: ", "hi"]
    assert said["usage"]["total_tokens"] == 9


def test_it_calls_tools(run_langchain: RunScript, provider: ScriptedProvider) -> None:
    provider.plays(weather.ASKS, weather.TELLS)
    said = run_langchain("chat.py", "tools", weather.QUESTION)
    assert said["calls"] == [
        ["call_paris", "get_weather", {"city": "Paris"}],
        ["call_rome", "get_weather", {"city": "Rome"}],
    ]
    assert said["text"] == weather.ANSWER
    assert provider.requests[1]["messages"][-2:] == weather.RESULTS
