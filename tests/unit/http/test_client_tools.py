"""The caller's own tools and which of them the model must call."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidRequest, UnsupportedValue
from app.http.client_tools import ClientTools, load_tools
from app.messages import ToolSpec


def tool(name: Any = "up", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def named(name: Any = "up") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


UP, DOWN = ToolSpec("up"), ToolSpec("down")
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}


@pytest.mark.parametrize(
    ("tools", "choice", "expected"),
    [
        (None, None, ClientTools()),
        ([], None, ClientTools()),
        ([tool()], None, ClientTools((UP,))),
        ([tool(), tool("down")], None, ClientTools((UP, DOWN))),
        ([{"function": {"name": "up"}}], None, ClientTools((UP,))),
        (
            [tool(description="Shouts.", parameters=SCHEMA, strict=True, extra=1)],
            None,
            ClientTools((ToolSpec("up", "Shouts.", SCHEMA, True),)),
        ),
        ([tool(description=None, parameters=None, strict=None)], None, ClientTools((UP,))),
        ([tool()], "auto", ClientTools((UP,), "auto")),
        ([tool()], "required", ClientTools((UP,), "required")),
        ([tool()], "none", ClientTools((UP,), "none")),
        ([tool()], named("down"), ClientTools((UP,), "function:down")),  # it may be one of the agent's
        (None, "required", ClientTools((), "required")),
        ([tool(), tool("down")], named("down"), ClientTools((UP, DOWN), "function:down")),
        ([tool()], {"function": {"name": "up"}}, ClientTools((UP,), "function:up")),
        ([tool("a:b")], named("a:b"), ClientTools((ToolSpec("a:b"),), "function:a:b")),
        ([tool("none")], named("none"), ClientTools((ToolSpec("none"),), "function:none")),
    ],
)
def test_valid_tools(tools: Any, choice: Any, expected: ClientTools):
    assert load_tools(tools, choice) == expected


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ({}, "tools"),
        ("up", "tools"),
        (5, "tools"),
        (True, "tools"),
        ([None], "tools[0].type"),
        (["up"], "tools[0].type"),
        ([tool(), {"type": "web_search"}], "tools[1].type"),
        ([{"type": None, "function": {"name": "up"}}], "tools[0].type"),
        ([{"type": "custom", "custom": {"name": "up"}}], "tools[0].type"),
        ([{}], "tools[0].function"),
        ([{"type": "function"}], "tools[0].function"),
        ([{"type": "function", "name": "up"}], "tools[0].function"),
        ([{"type": "function", "function": "up"}], "tools[0].function"),
        ([{"type": "function", "function": {}}], "tools[0].function.name"),
        ([tool(None)], "tools[0].function.name"),
        ([tool(5)], "tools[0].function.name"),
        ([tool("")], "tools[0].function.name"),
        ([tool("  ")], "tools[0].function.name"),
        ([tool(description=5)], "tools[0]"),
        ([tool(parameters="x")], "tools[0]"),
        ([tool(parameters=[])], "tools[0]"),
        ([tool(strict="yes")], "tools[0]"),
        ([tool(), tool("down"), tool()], "tools"),
    ],
)
def test_invalid_tools(tools: Any, param: str):
    with pytest.raises(InvalidRequest) as caught:
        load_tools(tools, None)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("tools", "choice", "expected"),
    [
        ([tool()], "any", UnsupportedValue),
        ([tool()], "up", UnsupportedValue),
        ([tool()], "function:up", UnsupportedValue),
        ([tool()], "AUTO", UnsupportedValue),
        ([tool()], "", UnsupportedValue),
        ([tool()], 5, UnsupportedValue),
        ([tool()], True, UnsupportedValue),
        ([tool()], [], UnsupportedValue),
        ([tool()], {}, UnsupportedValue),
        ([tool()], {"type": "function"}, UnsupportedValue),
        ([tool()], {"type": "function", "name": "up"}, UnsupportedValue),
        ([tool()], {"type": "allowed_tools", "function": {"name": "up"}}, UnsupportedValue),
        ([tool()], named(""), UnsupportedValue),
        ([tool()], named(5), UnsupportedValue),
    ],
)
def test_invalid_choices(tools: Any, choice: Any, expected: type[InvalidRequest]):
    with pytest.raises(InvalidRequest) as caught:
        load_tools(tools, choice)
    assert (type(caught.value), caught.value.param) == (expected, "tool_choice")


class CountedName(str):
    comparisons = 0

    def __eq__(self, other: object) -> bool:
        CountedName.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_the_work_for_many_tools_is_linear():
    load_tools([tool(CountedName(f"t{number}")) for number in range(2_000)], None)
    assert CountedName.comparisons < 20_000
