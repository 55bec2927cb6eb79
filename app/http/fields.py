"""Marshmallow fields that are strict about JSON types, for the bodies of requests.

Marshmallow's own take "yes" for true and "5" for a number. All of these may be null, which means left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields
from marshmallow.validate import Range

from app.errors import UnsupportedValue

MAX_INTEGER = 2**63 - 1  # what a program in any language can hold; a provider fails on more


class Boolean(fields.Boolean):
    """`true` or `false`."""

    def __init__(self, doc: str | None = None) -> None:
        super().__init__(allow_none=True, metadata=_metadata(doc))

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class Float(fields.Float):
    """A number from `low` to `high`, whole ones included."""

    def __init__(self, low: float, high: float, doc: str) -> None:
        super().__init__(allow_none=True, validate=Range(min=low, max=high), metadata=_metadata(doc))

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValidationError("must be a number")
        return value


class Integer(fields.Integer):
    """A whole number of at least `low`, written without a fraction."""

    def __init__(self, low: int, doc: str) -> None:
        limits = Range(min=low, max=MAX_INTEGER)
        super().__init__(strict=True, allow_none=True, validate=limits, metadata=_metadata(doc))


def invalid_field(problems: Mapping[str, Any]) -> UnsupportedValue:
    """The first of a `ValidationError`'s messages, as a sentence with its path, which is also its `param`."""
    path: list[str] = []
    problem: Any = problems
    while isinstance(problem, Mapping):
        name, problem = next(iter(problem.items()))
        if name != "_schema":
            path.append(str(name))
    text = str(problem[0] if isinstance(problem, list) and problem else problem).rstrip(".")
    param = ".".join(path)
    return UnsupportedValue(f"`{param}`: {text[:1].lower()}{text[1:]}.", param=param)


def _metadata(doc: str | None) -> dict[str, Any]:
    return {"description": doc} if doc else {}
