"""JSON from outside that is small to send and large to hold: how many values it may have.

An empty list is three bytes on the wire and sixty in memory, and making millions of them keeps the event loop
for seconds. The bytes of a text are bounded where it is read; here its values are, before it is parsed.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

MAX_VALUES = 100_000  # of a request: ten thousand messages with several parts each have fewer

MAX_CERTAIN_DEPTH = 200  # levels of nesting that can certainly be written
LEVELS_AROUND = 16  # of the messages that a value may become a part of

_SEPARATORS = (b",", b"[", b"{")  # one of them comes before nearly every value
# `*+` does not backtrack. A parser sees the same strings, as far as the text is JSON.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class TooManyValues(ValueError):
    """A JSON text has more values than it may have."""


class TooDeep(ValueError):
    """A JSON text is nested so deeply that its value could be read, and never be written again."""


def load_json(text: str | bytes) -> Any:
    """The value, which can be written again. Raises ValueError: no JSON, TooManyValues, or TooDeep."""
    check_values(text)
    value = orjson.loads(text)
    opening = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if sum(map(text.count, opening)) > MAX_CERTAIN_DEPTH and not can_be_written(value):  # type: ignore[arg-type]
        raise TooDeep("nested too deeply")
    return value


def can_be_written(value: Any) -> bool:
    """Whether the value can be a part of a message: neither nested too deeply nor anything but JSON."""
    for _ in range(LEVELS_AROUND):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def canonical(text: str) -> bytes:
    """The same bytes for the same JSON value, in whatever form it is written; the text, if it is no such."""
    try:
        return orjson.dumps(load_json(text), option=orjson.OPT_SORT_KEYS)
    except ValueError:
        return text.encode("utf-8", "surrogatepass")


def check_values(text: str | bytes, limit: int = MAX_VALUES) -> None:
    """Raise TooManyValues if a JSON text has more than `limit` values.

    Nearly free for a text with fewer bytes than that.
    """
    if len(text) > limit:
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        if _separators(data, 0, len(data)) > limit and _values_exceed(data, limit):
            raise TooManyValues(f"more than {limit} values")


def _values_exceed(data: bytes, limit: int) -> bool:
    """The same without what is inside strings: a text of prose may have a million commas."""
    count = end = 0
    for string in _STRING.finditer(data):
        count += _separators(data, end, string.start())
        if count > limit:
            return True
        end = string.end()
    return count + _separators(data, end, len(data)) > limit


def _separators(data: bytes, start: int, end: int) -> int:
    return sum(data.count(one, start, end) for one in _SEPARATORS)
