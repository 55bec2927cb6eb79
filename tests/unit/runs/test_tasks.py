"""What is refused before a run starts: the caller's tools and `tool_choice` beside the agent's own tools."""

from __future__ import annotations

from typing import Any

import pytest

from app.config.tool_settings import ToolSettings
from app.errors import InvalidRequest
from app.messages import ToolSpec
from tests.unit.agents.own_tools import simple_tool
from tests.unit.runs.conftest import Desk

UP = ToolSpec("up")


@pytest.fixture
def with_read(desk: Desk) -> Desk:
    """The agent has the tool `read`."""
    desk.tools.add(simple_tool("read", str))
    return desk


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        ((UP,), "function:down"),
        ((UP,), "function:Up"),
        ((), "auto"),
        ((), "none"),
        ((), "required"),
        ((), "function:up"),
    ],
)
def test_a_choice_of_a_tool_that_nobody_has_is_refused(desk: Desk, tools: Any, choice: str):
    with pytest.raises(InvalidRequest) as caught:
        desk.start(tools=tools, tool_choice=choice)
    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize("choice", ["auto", "required", "function:read", "function:up"])
def test_a_choice_may_be_of_the_agents_own_tools(with_read: Desk, choice: str):
    with_read.start(tools=(UP,), tool_choice=choice).wait()
    call = with_read.provider.calls[0]
    assert [spec.name for spec in call.tools] == ["up", "read"]
    assert call.tool_choice == choice


def test_the_choice_none_keeps_all_tools_away(with_read: Desk):
    with_read.start(tools=(UP,), tool_choice="none").wait()
    call = with_read.provider.calls[0]
    assert (call.tools, call.tool_choice) == ((), None)


def test_a_tool_that_the_agent_may_not_use_cannot_be_chosen(with_read: Desk):
    with_read.set_agent(tools=ToolSettings(deny=("read",)))
    with pytest.raises(InvalidRequest, match="neither"):
        with_read.start(tools=(UP,), tool_choice="function:read")


def test_a_callers_tool_may_not_have_the_name_of_the_agents(with_read: Desk):
    with pytest.raises(InvalidRequest, match="own tools") as caught:
        with_read.start(tools=(ToolSpec("read"),))
    assert caught.value.param == "tools"
