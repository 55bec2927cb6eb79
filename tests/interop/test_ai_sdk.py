"""The Vercel AI SDK, as its users reach OpenAI-compatible servers."""

from __future__ import annotations

import pytest

from tests.interop.conftest import RunScript
from tests.support import weather
from tests.support.provider import ScriptedProvider

pytestmark = pytest.mark.timeout(600)  # the first test installs the client

CALLS = [["call_paris", "Paris"], ["call_rome", "Rome"]]


@pytest.mark.parametrize("way", ["generate", "stream"])
def test_it_uses_a_tool_and_answers(run_js: RunScript, provider: ScriptedProvider, way: str) -> None:
    provider.plays(weather.ASKS, weather.TELLS)
    said = run_js("ai_sdk.mjs", way, weather.QUESTION)
    assert said["text"] == weather.ANSWER
    assert said["calls"] == CALLS
    assert said["reasons"] == ["tool-calls", "stop"]
    assert said["outputTokens"] == [10, 2]
    assert [one["role"] for one in provider.requests[1]["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
    ]


def test_its_stream_comes_in_pieces(run_js: RunScript, provider: ScriptedProvider) -> None:
    said = run_js("ai_sdk.mjs", "stream", "hi")
    assert said["pieces"] == ["echo: ", "hi"]
    assert said["calls"] == []
