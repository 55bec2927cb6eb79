"""Fields that take JSON's own types only."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from app.http.fields import MAX_INTEGER, Boolean, Float, Integer, invalid_field


class Body(Schema):
    flag = Boolean()
    number = Float(0, 2, "")
    whole = Integer(1, "")


@pytest.mark.parametrize(
    "body",
    [{"flag": True}, {"flag": None}, {"number": 2}, {"number": 0.5}, {"whole": 1}, {"whole": MAX_INTEGER}],
)
def test_values_of_the_right_type_stay_as_they_are(body: dict[str, Any]) -> None:
    assert Body().load(body) == body


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("flag", "yes", "must be true or false"),
        ("flag", 1, "must be true or false"),
        ("number", "1", "must be a number"),
        ("number", True, "must be a number"),
        ("number", 2.1, "must be greater than or equal to 0 and less than or equal to 2"),
        ("whole", "1", "not a valid integer"),
        ("whole", 1.5, "not a valid integer"),
        ("whole", True, "not a valid integer"),
        ("whole", 0, f"must be greater than or equal to 1 and less than or equal to {MAX_INTEGER}"),
    ],
)
def test_any_other_is_an_error_that_names_the_field(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Body().load({name: value})
    error = invalid_field(caught.value.messages_dict)
    assert (error.message, error.param) == (f"`{name}`: {message}.", name)
