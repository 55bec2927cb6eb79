"""The tools of a server as they are offered: whatever it sends, models accept a request with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.config.tool_settings import McpToolFilter
from app.tools.mcp.listing import MAX_PAGES, MAX_TOOLS, ServerTools, countdown, read_tools
from app.tools.mcp.names import NameFilter
from app.tools.mcp.peer import Peer
from app.tools.mcp.protocol import McpError
from tests.unit.tools.mcp.test_peer import RecordingChannel, peer_of

ALL = NameFilter(McpToolFilter())


def offered(
    *tools: Any, names: NameFilter = ALL, capabilities: Any = None, page: Callable[[Any], Any] | None = None
) -> ServerTools:
    def answer(sent: Any) -> list[Any]:
        given = {"tools": list(tools)} if page is None else page(sent["params"].get("cursor"))
        return [{"id": sent["id"], "result": given}]

    peer: Peer = peer_of(RecordingChannel(answer))
    has = {"tools": {}} if capabilities is None else capabilities
    return read_tools(peer, has, "docs", names, countdown(60))


@pytest.mark.parametrize(
    ("schema", "parameters"),
    [
        (None, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object", "properties": [1], "required": "a"}, {"type": "object", "properties": {}}),
        (
            {
                "$schema": "x",
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": 5},
                "required": ["a", "b", 7],
            },
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        ),
        (
            {"type": "object", "properties": {"a": {"description": "x\x1b\u202ey"}}},
            {"type": "object", "properties": {"a": {"description": "x  y"}}},
        ),
    ],
)
def test_a_schema_is_one_of_an_object(schema: Any, parameters: Any):
    (tool,) = offered({"name": "a", "inputSchema": schema}).tools
    assert tool.spec.parameters == parameters


@pytest.mark.parametrize(
    "schema", [[], "x", {"type": "string"}, {"type": "object", "description": "x" * 70_000}]
)
def test_a_tool_without_a_usable_schema_is_left_out(schema: Any):
    found = offered({"name": "a", "inputSchema": schema}, {"name": "b"})
    assert [tool.name for tool in found.tools] == ["b"]
    assert found.left_out.keys() == {"docs__a"}


def test_what_has_no_name_is_no_tool():
    tools = [{"name": ""}, {"name": 5}, {}, None, "x", {"name": "x" * 300}, {"name": "ok"}, {"name": "ok"}]
    assert [tool.name for tool in offered(*tools).tools] == ["ok"]


def test_resources_and_prompts_are_tools_of_servers_that_have_them():
    found = offered({"name": "a"}, capabilities={"tools": {}, "resources": {}, "prompts": {}})
    assert [tool.spec.name for tool in found.tools] == [
        "docs__a",
        "docs__resources_list",
        "docs__resources_read",
        "docs__prompts_list",
        "docs__prompts_get",
    ]
    without = NameFilter(McpToolFilter(excluded=("resources_*", "prompts_*")))
    assert len(offered({"name": "a"}, names=without, capabilities={"tools": {}, "resources": {}}).tools) == 1
    assert offered({"name": "a"}, capabilities={}).tools == ()


def test_a_servers_own_tool_comes_before_one_of_ours():
    found = offered(
        {"name": "resources_list", "description": "mine"}, capabilities={"tools": {}, "resources": {}}
    )
    kinds = {tool.spec.name: tool.kind for tool in found.tools}
    assert kinds == {"docs__resources_list": "call", "docs__resources_read": "resources_read"}


def test_the_filter_leaves_tools_out_and_says_so():
    found = offered({"name": "get"}, {"name": "set"}, names=NameFilter(McpToolFilter(included=("get",))))
    assert [tool.name for tool in found.tools] == ["get"]
    assert found.left_out == {"docs__set": "toolFilter"}


def test_pages_end():
    asked: list[Any] = []

    def endless(cursor: Any) -> Any:
        asked.append(cursor)
        return {"tools": [{"name": f"t{len(asked)}"}], "nextCursor": str(len(asked))}

    assert len(offered(page=endless).tools) == MAX_PAGES
    asked.clear()

    def in_a_circle(cursor: Any) -> Any:
        asked.append(cursor)
        return {"tools": [{"name": "a"}], "nextCursor": "same"}

    assert len(offered(page=in_a_circle).tools) == 1
    assert len(asked) == 2
    many = offered(*[{"name": f"t{number}"} for number in range(MAX_TOOLS + 50)])
    assert len(many.tools) == MAX_TOOLS


def test_schemas_have_a_bound_together():
    schema = {"type": "object", "properties": {"a": {"description": "x" * 3900} | {"enum": ["y" * 40_000]}}}
    found = offered(*[{"name": f"t{number}", "inputSchema": schema} for number in range(40)])
    assert 20 < len(found.tools) < 30
    assert len(found.tools) + len(found.left_out) == 40


def test_time_is_up():
    left = countdown(0.0)
    with pytest.raises(McpError, match="not ready"):
        left()
