"""Names of MCP tools: `<server>__<tool>`."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from app.config.tool_settings import McpToolFilter
from app.tools.mcp.names import MAX_NAME, NameFilter, prefixes, tool_names


def test_a_prefix_has_safe_characters_and_keeps_its_case():
    assert prefixes(["Demo Srv"]) == {"Demo Srv": "Demo-Srv"}
    assert prefixes(["1st", "__proto__", "é"]) == {"1st": "mcp-1st", "__proto__": "mcp-_proto-", "é": "mcp--"}


def test_equal_prefixes_get_a_number():
    assert list(prefixes(["a b", "a-b", "A-B"]).values()) == ["a-b", "a-b-2", "A-B-3"]
    assert len(set(prefixes(["x" * 40, "x" * 50]).values())) == 2


def test_a_prefix_has_no_separator_of_its_own():
    assert prefixes(["a__b", "c_"]) == {"a__b": "a_b", "c_": "c-"}


def test_a_name_that_fits_is_kept_and_no_other_tool_takes_it():
    found = tool_names("docs", ["read.all", "read-all", "search"])
    assert found["read-all"] == "docs__read-all"
    assert found["search"] == "docs__search"
    assert re.fullmatch(r"docs__read-all-[0-9a-f]{6}", found["read.all"])


def test_names_do_not_depend_on_the_order_of_the_servers_list():
    assert tool_names("d", ["a.b", "a b", "a-b"]) == tool_names("d", ["a-b", "a b", "a.b"])


@given(st.text(), st.lists(st.text(max_size=200), max_size=20))
def test_every_name_is_one_that_models_accept(server: str, tools: list[str]):
    prefix = prefixes([server])[server]
    names = list(tool_names(prefix, tools).values())
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) and len(name) <= MAX_NAME for name in names)
    assert all(name.startswith(f"{prefix}__") for name in names)
    assert len({name.lower() for name in names}) == len(names)


def test_the_filter_has_globs_over_the_servers_own_names():
    names = NameFilter(McpToolFilter(("get_*", "list"), ("*secret*",)))
    passing = [
        name for name in ("get_a", "get_secrets", "list", "lists", "set_a", "Get_a") if names.passes(name)
    ]
    assert passing == ["get_a", "list"]
    assert NameFilter(McpToolFilter()).passes("anything")
    assert not NameFilter(McpToolFilter(included=("a.c",))).passes("abc")
