"""Answers of MCP servers as outputs of tools."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.tools.mcp import results
from app.tools.mcp.results import clean, tool_output

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 40).decode()


def output(*content: Any, **more: Any) -> results.ToolOutput:
    return tool_output({"content": list(content), **more}, "docs", "search")


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def test_structured_content_comes_first_then_the_texts():
    found = output(text("one"), text("two"), structuredContent={"n": 1})
    assert found.text == 'structuredContent:\n{"n":1}\none\ntwo'
    assert found.details == {"server": "docs", "mcpTool": "search", "structuredContent": {"n": 1}}


def test_a_text_that_repeats_the_structured_content_is_left_out():
    assert output(text('{"n": 1}'), structuredContent={"n": 1}).text == 'structuredContent:\n{"n":1}'


def test_images_are_images_whatever_their_label():
    found = output({"type": "image", "data": PNG, "mimeType": "text/html"}, text("seen"))
    assert [image.mime for image in found.images] == ["image/png"]
    assert found.text == "seen"


@pytest.mark.parametrize(
    ("part", "note"),
    [
        ({"type": "image", "data": "%%%", "mimeType": "image/png"}, "base64"),
        (
            {"type": "image", "data": base64.b64encode(b"<svg>" * 9).decode(), "mimeType": "image/svg+xml"},
            "no model",
        ),
        ({"type": "image"}, "without data"),
        ({"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}, "audio/wav"),
        ({"type": "resource", "resource": {"uri": "a://b", "text": "inside"}}, "Resource a://b:\ninside"),
        ({"type": "resource", "resource": {"uri": "a://b", "blob": "AAAA"}}, "a://b (binary)"),
        ({"type": "resource", "resource": {"uri": "a://b", "blob": PNG, "mimeType": "image/png"}}, "a://b"),
        ({"type": "resource_link", "uri": "a://b", "name": "B"}, "a://b · B"),
        ({"type": "new\x1b[2J"}, "unknown type"),
    ],
)
def test_other_parts_are_text_or_a_note(part: dict[str, Any], note: str):
    found = output(part)
    assert note in found.text
    assert "\x1b" not in found.text


@pytest.mark.parametrize(
    "answer",
    [{}, {"content": None}, {"content": "text"}, {"content": [1, None, []]}, {"content": [{"type": "text"}]}],
)
def test_an_answer_without_content_says_so(answer: dict[str, Any]):
    assert tool_output(answer, "docs", "search").text == "(no output)"


def test_the_bounds():
    many = output(*[{"type": "image", "data": PNG}] * 20)
    assert len(many.images) == results.MAX_IMAGES
    assert "beyond the first 8" in many.text
    long = output(*[text("x" * 300_000)] * 3)
    assert len(long.text) < results.MAX_TEXT + 100
    assert "left out" in output(*[text("x")] * 600).text


def test_an_error_is_marked():
    assert output(text("no"), isError=True).is_error
    assert not output(text("no"), isError="yes").is_error


def test_cleaned_text_has_neither_controls_nor_direction_overrides():
    assert clean("a\x1b[2J\u202eb\x00", 50) == "a [2J b "
    assert clean("x" * 20, 10) == "x" * 9 + "…"
    assert clean(None, 10) == ""
