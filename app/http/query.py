"""The parameters behind a `?`, read strictly: what is wrong with one is 400 and names it.

Those that nobody asks for are ignored.
"""

from __future__ import annotations

import re

from app.errors import UnsupportedValue
from app.exchange import GatewayRequest

MAX_TEXT = 512  # characters
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def count_param(request: GatewayRequest, name: str, default: int, most: int) -> int:
    """A whole number from 1; more than `most` counts as `most`. Raises UnsupportedValue."""
    text = request.args.get(name)
    if text is None:
        return default
    if not _DIGITS.fullmatch(text) or int(text) < 1:
        raise UnsupportedValue(f"`{name}` must be a whole number from 1.", param=name)
    return min(int(text), most)


def text_param(request: GatewayRequest, name: str) -> str | None:
    """A text without blanks around it; None if there is none. Raises UnsupportedValue."""
    text = (request.args.get(name) or "").strip()
    if len(text) > MAX_TEXT:
        raise UnsupportedValue(f"`{name}` may have at most {MAX_TEXT} characters.", param=name)
    if _CONTROL.search(text):
        raise UnsupportedValue(f"`{name}` must not have control characters.", param=name)
    return text or None


def word_param(request: GatewayRequest, name: str, *words: str) -> str:
    """One of `words`, the first if there is none. Raises UnsupportedValue."""
    text = request.args.get(name)
    if text is None:
        return words[0]
    if text not in words:
        raise UnsupportedValue(f"`{name}` must be one of: {', '.join(words)}.", param=name)
    return text
