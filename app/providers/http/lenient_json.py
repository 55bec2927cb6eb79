"""JSON as providers send it: strict first, and on failure with what a strict parser refuses.

Servers cut their text between two halves of a character, and print numbers that JSON does not have:

* half of a UTF-16 pair (`"\\ud83d"`) and bytes that are not UTF-8 become lone surrogates, the bytes as
  Python's `surrogateescape` does it, so that the piece that follows can complete them (`HalfCharacters` in
  app/providers/openai_chat/content.py);
* NaN and Infinity, in any case, become null; control characters in strings are taken as they are.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from app import json_values
from app.errors import UpstreamError

MAX_VALUES = 250_000
MAX_DEPTH = 100  # of objects and lists within each other, in what is passed on
BOM = b"\xef\xbb\xbf"

# Strings are matched so that what is inside them stays as it is; `*+` and `++` do not backtrack.
_STRING_OR_CONSTANT = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[-+]?\b(?:nan|inf(?:inity)?)\b', re.IGNORECASE | re.DOTALL
)
_SURROGATES = re.compile("[\ud800-\udfff]+")
_MAX_DIGITS = 300  # of a number; Python refuses to convert thousands


def check_values(data: bytes) -> None:
    """Raises UpstreamError if a JSON text has more than MAX_VALUES values."""
    try:
        json_values.check_values(data, MAX_VALUES)
    except json_values.TooManyValues as error:
        raise UpstreamError("The provider's answer has too many values.") from error


def load_json(data: bytes) -> Any:
    """The value. Strings in it may have lone surrogates. Raises ValueError for what is no JSON either way."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    text = data.removeprefix(BOM).decode("utf-8", "surrogateescape")
    text = _STRING_OR_CONSTANT.sub(_null_for_constant, text)
    try:
        return _lenient.decode(text.strip())
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error


def without_surrogates(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The same value with U+FFFD for lone surrogates in its strings: it can be encoded again.

    Raises UpstreamError if it has more than `depth` objects and lists within each other.
    """
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if not isinstance(value, dict | list):
        return value
    if not depth:
        raise UpstreamError("The provider sent JSON that is nested too deeply.")
    if isinstance(value, list):
        return [without_surrogates(one, depth - 1) for one in value]
    return {without_surrogates(key): without_surrogates(one, depth - 1) for key, one in value.items()}


def _null_for_constant(match: re.Match[str]) -> str:
    found = match.group()
    return found if found.startswith('"') else "null"


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float("inf")


_lenient = json.JSONDecoder(strict=False, parse_int=_integer)
