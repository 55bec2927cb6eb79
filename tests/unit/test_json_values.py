"""How many values a JSON text may have, whatever is inside its strings."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.json_values import MAX_VALUES, TooDeep, TooManyValues, canonical, check_values, load_json
from app.messages import json_size

MANY = MAX_VALUES + 1


@pytest.mark.parametrize(
    "text",
    ["[" + "[]," * MANY + "1]", "[" + "1," * MANY + "1]", '["' + '","' * MANY + '"]', "[" * MANY],
    ids=["lists", "numbers", "texts", "depth"],
)
def test_very_many_values_are_refused_before_they_are_parsed(text: str):
    for written in (text, text.encode(), json.dumps({"a": '\\",[{'})[:-1] + ',"b":' + text):
        with pytest.raises(TooManyValues):
            load_json(written)


@pytest.mark.parametrize("inside", [",", "[", "{", '\\",', "\\\\,", "é,", "\n,"])
def test_what_is_inside_a_text_is_one_value(inside: str):
    text = json.dumps({"a": inside * MANY, "b": [1, 2]}, ensure_ascii=False)
    assert load_json(text) == load_json(text.encode()) == json.loads(text)


def test_a_large_text_with_few_values_is_parsed():
    value = [{"role": "user", "content": "a, b, [c] {d}" * 100} for _ in range(1000)]
    assert load_json(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["", "{", '"\ud800"', "{" + '"' * MANY, '"' + "," * MANY])
def test_what_is_no_json_is_a_value_error(text: str):
    with pytest.raises(ValueError, match=r"."):
        load_json(text)


values = st.recursive(
    st.none() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
)


def separators(value: Any) -> int:
    """How many commas and opening brackets the value has when it is written."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(0, len(value) - 1) + sum(map(separators, inner))
    return 0


@given(values)
def test_the_count_is_that_of_the_separators_outside_texts(value: Any):
    text = json.dumps(value)
    count = separators(value)
    check_values(text, count)
    if count:
        padded = text + " " * count  # a text with fewer bytes than that is not looked at
        with pytest.raises(TooManyValues):
            check_values(padded, count - 1)


@pytest.mark.parametrize("depth", [1, 100, 220, 238, 239, 250, 254, 255, 300, 1000, 1024, 1025, 5000])
@pytest.mark.parametrize("around", [0, 5, 15])
def test_what_is_read_can_be_written_again_as_a_part_of_something(depth: int, around: int):
    text = "[" * depth + "]" * depth
    try:
        value = load_json(text)
    except ValueError:
        assert depth > 200
        return
    assert json_size(value) == len(text)
    for _ in range(around):
        value = {"part": value}
    assert orjson.dumps(value)


def test_brackets_in_texts_are_not_depth():
    assert load_json(orjson.dumps(["[{" * 1000])) == ["[{" * 1000]
    with pytest.raises(TooDeep):
        load_json('{"a":' * 300 + "1" + "}" * 300)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": [2]}', '{"b":[2],"a":1}'),
        ("[1" * 300, "[1" * 300),
        ("[" * 300 + "]" * 300, "[" * 300 + "]" * 300),
        ("\ud800", "\ud800"),
    ],
)
def test_the_same_value_is_the_same_in_every_form(one: str, other: str):
    assert canonical(one) == canonical(other)
