"""Calls of tools forced from a model that can only fill in a JSON schema."""

from __future__ import annotations

from typing import Any

import pytest

from app.cancel import Cancel
from app.events.types import ModelFinished, ToolCallDelta
from app.messages import Message, ToolSpec
from app.providers.base import ModelCall
from app.providers.local.forced_call import force_call, is_forced
from tests.unit.agents.fake_provider import USED, FakeProvider, says

PATH = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
READ, LS = ToolSpec("read", "Read a file.", PATH), ToolSpec("ls", "List a folder.", PATH)
ASKED = (Message("system", "You are main."), Message("user", "Read a.txt"))


def play(call: ModelCall, *answers: str) -> tuple[list[Any], FakeProvider]:
    provider = FakeProvider(*map(says, answers))
    return list(force_call(call, lambda asked: provider.stream(asked, Cancel()))), provider


def schema_of(call: ModelCall) -> Any:
    return call.params["response_format"]["json_schema"]["schema"]


@pytest.mark.parametrize(("tools", "choice"), [((READ,), "required"), ((LS, READ), "function:read")])
def test_a_tool_that_is_certain_is_called_with_arguments_that_fit(tools: Any, choice: str):
    call = ModelCall("m", ASKED, {"temperature": 0}, tools, choice)
    events, provider = play(call, '{"path": "a.txt"}')
    delta, end = events
    assert (delta.index, delta.name, delta.arguments) == (0, "read", '{"path": "a.txt"}')
    assert delta.id.startswith("call_")
    assert end == ModelFinished("tool_calls", USED)
    (asked,) = provider.calls
    assert (asked.tools, asked.tool_choice, asked.params["temperature"]) == ((), None, 0)
    assert schema_of(asked) == PATH
    assert asked.messages[0].text.startswith("You are main.\n\nTool read: Read a file.")
    assert asked.messages[1:] == ASKED[1:]


def test_among_several_the_model_chooses_first():
    events, provider = play(ModelCall("m", ASKED[1:], {}, (LS, READ), "required"), '{"tool": "read"}', "{}")
    assert isinstance(events[0], ToolCallDelta)
    assert events[0].name == "read"
    assert events[-1] == ModelFinished("tool_calls", USED + USED)
    assert schema_of(provider.calls[0])["properties"]["tool"] == {"enum": ["ls", "read"]}


@pytest.mark.parametrize("nonsense", ["", "{", "[]", '{"tool": "rm"}', '{"other": 1}'])
def test_a_choice_that_cannot_be_read_is_the_first_tool(nonsense: str):
    events, _ = play(ModelCall("m", ASKED, {}, (LS, READ), "required"), nonsense, "{}")
    assert events[0].name == "ls"


def test_a_tool_without_a_schema_takes_any_object():
    _, provider = play(ModelCall("m", ASKED, {}, (ToolSpec("now"),), "required"), "{}")
    assert schema_of(provider.calls[0]) == {"type": "object"}


@pytest.mark.parametrize(
    ("tools", "choice", "forced"),
    [
        ((READ,), "required", True),
        ((READ,), "function:read", True),
        ((READ,), "auto", False),
        ((READ,), None, False),
        ((), "required", False),
    ],
)
def test_what_is_forced(tools: Any, choice: Any, forced: bool):
    assert is_forced(ModelCall("m", ASKED, {}, tools, choice)) is forced
