"""What is shown of calls and results: bounded, and always JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.messages import ToolCall
from app.tools import display
from app.tools.base import ToolOutput
from app.tools.display import call_summary, last_line, returned, shown_arguments, tool_title


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('{"path": "a"}', {"path": "a"}),
        ("", {}),
        ("null", {}),
        ('{"path": ', {"preview": '{"path": '}),
        ("[1]", {"preview": "[1]"}),
        ('"text"', {"preview": '"text"'}),
        ("[" * 5000, {"preview": "[" * 2000}),
        ('{"a":' * 245 + "1" + "}" * 245, {"preview": '{"a":' * 245 + "1" + "}" * 245}),
        (json.dumps({"content": "x" * 70_000}), {"preview": ('{"content": "' + "x" * 70_000)[:2000]}),
    ],
)
def test_arguments_are_an_object(written: str, shown: dict[str, Any]):
    assert shown_arguments(ToolCall("c", "t", written)) == shown


@pytest.mark.parametrize(
    ("arguments", "summary"),
    [
        ({"content": "much", "path": "notes.txt"}, "notes.txt"),
        ({"command": "ls\n  -la"}, "ls -la"),
        ({"markdown": "# Plan"}, "# Plan"),
        ({"count": 3}, None),
        ({"path": "  "}, None),
        ({"path": {"a": 1}, "other": "b"}, "b"),
        ({"command": "x" * 5000}, "x" * 119 + "…"),
    ],
)
def test_a_summary_is_one_line(arguments: dict[str, Any], summary: str | None):
    assert call_summary(arguments) == summary


def test_what_is_nested_deeply_is_left_out_of_details():
    deep: dict[str, Any] = {}
    for _ in range(245):
        deep = {"a": deep}
    assert display.shown_details({"deep": deep, "status": "ok"}) == {"status": "ok", "truncated": True}


def test_titles_and_last_lines():
    assert [tool_title(name) for name in ("web_fetch", "exec", "__", "")] == [
        "Web Fetch",
        "Exec",
        "Tool",
        "Tool",
    ]
    assert [last_line(text) for text in ("a\nb\n\n", "", "\n")] == ["b", "", ""]


def test_a_long_result_is_cut():
    call = ToolCall("c", "t", "{}")
    event = returned(call, ToolOutput("x" * 1_000_000), 0.5)
    assert event.text == "x" * 60_000 + "\n\n[940000 more characters are not shown.]"
    assert (event.call_id, event.name, event.seconds, event.details) == ("c", "t", 0.5, {})
    assert returned(call, ToolOutput("short", is_error=True), 0.5).text == "short"


@pytest.mark.parametrize("value", [Path("/x"), float("nan"), "\ud800", {1: 2}, 2**80, b"x"])
def test_details_can_be_sent_whatever_they_are(value: Any):
    details = returned(
        ToolCall("c", "t", "{}"), ToolOutput("\ud800", {"status": "ok", "odd": value}), 0
    ).details
    assert json.loads(orjson.dumps(details))["status"] == "ok"


def test_of_large_details_the_small_ones_are_kept():
    output = ToolOutput("", {"status": "ok", "page": "x" * 100_000, "exitCode": 0})
    assert returned(ToolCall("c", "t", "{}"), output, 0).details == {
        "status": "ok",
        "exitCode": 0,
        "truncated": True,
    }
    many = display.shown_details({str(number): "x" * 4000 for number in range(1000)})
    assert len(orjson.dumps(many)) < 2 * display.MAX_DETAILS
