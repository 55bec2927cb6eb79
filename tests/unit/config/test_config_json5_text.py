from __future__ import annotations

from pathlib import Path

import pytest

from app.config.source.json5_text import MAX_DEPTH, TextError, parse

FILE = Path("openclaw.json")


def mistakes(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(TextError) as caught:
        parse(text, FILE)
    return [(position.line, position.column, sentence) for position, sentence in caught.value.mistakes]


def test_json5_may_have_comments_single_quotes_bare_keys_and_trailing_commas():
    text = "// a\n{a: 1, 'b c': [1, 0x10, .5,], /* c */ \"d\": 'x\\ny', }"
    assert parse(text, FILE) == {"a": 1, "b c": [1, 16, 0.5], "d": "x\ny"}


def test_each_value_remembers_where_it_was_written():
    tree = parse("{\n  a: {b: [1,\n    {c: 2}]},\n  '\\u0064': 3, \"\": {e: 4}\n}", FILE)
    at = {
        "a": tree.positions["a"],
        "b": tree["a"].positions["b"],
        "[1]": tree["a"]["b"].positions[1],
        "c": tree["a"]["b"][1].positions["c"],
        "d": tree.positions["d"],
        "e": tree[""].positions["e"],
    }
    found = {key: (place.line, place.column) for key, place in at.items()}
    assert found == {"a": (2, 3), "b": (2, 7), "[1]": (3, 5), "c": (3, 6), "d": (4, 3), "e": (4, 21)}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("{a: 1, a: 2}", 1, 8),
        ('{"a": 1,\n "a": 2}', 2, 2),
        ('{"a": 1,\n a: 2}', 2, 2),
        ("{x: [{b: 1,\n\n  'b': 2}]}", 3, 3),
        ('{"a": 1, "\\u0061": 2}', 1, 10),
    ],
)
def test_a_key_given_twice_is_refused_where_it_stands(text: str, line: int, column: int):
    [(found_line, found_column, sentence)] = mistakes(text)
    assert (found_line, found_column) == (line, column)
    assert "is given twice" in sentence


def test_all_keys_given_twice_are_reported():
    assert len(mistakes("{a: 1, a: 2, b: {c: 1, c: 2, c: 3}}")) == 3


def test_the_same_key_in_two_objects_is_fine():
    assert parse("{a: {x: 1}, b: {x: 1}, c: [{x: 1}, {x: 1}]}", FILE)["c"] == [{"x": 1}, {"x": 1}]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("{a: 1,\n b: 2 c: 3}", 2, 7), ("{a: 1", 1, 6), ("{a: 'x", 1, 7), ("{}}", 1, 3)],
)
def test_a_syntax_error_is_reported_with_its_line_and_column(text: str, line: int, column: int):
    [(found_line, found_column, sentence)] = mistakes(text)
    assert found_line == line
    assert abs(found_column - column) <= 1
    assert sentence.startswith("is not JSON5")


@pytest.mark.parametrize("text", ["", "   ", "nonsense", "{a: 1" + "0" * 5000 + "}"])
def test_what_is_not_json5_is_a_mistake_and_nothing_else(text: str):
    assert mistakes(text)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_nesting_is_refused(opening: str):
    closing = "]" if opening == "[" else "}"
    for depth in (MAX_DEPTH + 1, 5000):
        assert "nested" in mistakes(opening * depth + "1" + closing * depth)[0][2]
