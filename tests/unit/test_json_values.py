"""How many values a JSON text may have, whatever is inside its strings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.json_values import MAX_VALUES, TooManyValues, check_values, load_json

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
