"""The text of a message or delta, in the forms that servers give it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

# Of several that a delta has, the first counts: they repeat each other.
REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
REASONING_PARTS = ("thinking", "reasoning", "reasoning_text", "reasoning.text")


class Content(NamedTuple):
    text: str = ""
    reasoning: str = ""
    refusal: str = ""


def read_content(value: object, depth: int = 3) -> Content:
    """What a `content` holds: a text, a part, or a list of texts and parts. Anything else is ignored.

    Parts of the model's reasoning and refusals among them are told apart from the text. Lists
    within lists are read, `depth` of them.
    """
    if isinstance(value, str):
        return Content(value)
    parts = value if isinstance(value, list) else [value]
    found = [
        read_content(part, depth - 1) if depth and type(part) is list else _read_part(part) for part in parts
    ]
    return Content(*("".join(texts) for texts in zip(*found, strict=True))) if found else Content()


def read_fields(fields: dict[str, Any]) -> tuple[str, str, str]:
    """The text, the reasoning and the refusal of a delta or a message."""
    content, reasoning = fields.get("content"), fields.get("reasoning_content")
    if (content is None or type(content) is str) and type(reasoning) is str:
        if reasoning and "refusal" not in fields:
            return content or "", reasoning, ""
    elif type(content) is str and fields.keys() <= _PLAIN_FIELDS:
        return content, "", ""
    text, among_parts, refusal = read_content(fields.get("text") if content is None else content)
    named = [read_content(fields[name]) for name in REASONING_FIELDS if name in fields]
    thoughts = (one.text or one.reasoning for one in named)
    return text, next(filter(None, thoughts), among_parts), _string(fields.get("refusal")) or refusal


_PLAIN_FIELDS = frozenset(("role", "content", "tool_calls", "function_call"))


def _read_part(part: object) -> Content:
    if isinstance(part, str):
        return Content(part)
    if not isinstance(part, dict):
        return Content()
    kind = part.get("type")
    if kind == "refusal":
        return Content(refusal=_string(part.get("refusal")) or _string(part.get("text")))
    if kind in REASONING_PARTS:
        inner = part.get("thinking") or part.get("reasoning") or part.get("text") or part.get("content")
        return Content(reasoning=_joined(inner))
    text = part.get("text", part.get("content"))
    return Content(_string(text.get("value")) if isinstance(text, dict) else _string(text))


def _joined(value: object) -> str:
    """A text, or the texts of a list of parts: the forms in which reasoning is nested in its part."""
    parts: list[Any] = value if isinstance(value, list) else [value]
    return "".join(_string(part.get("text") if isinstance(part, dict) else part) for part in parts)


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


# Half a character at the end of a piece: the first half of a UTF-16 pair, or the first bytes of a UTF-8
# character, each byte 0x80 to 0xFF as U+DC80 to U+DCFF (`surrogateescape`).
_HALF = re.compile(
    "(?:[\ud800-\udbff]|[\udcc2-\udcdf]|[\udce0-\udcef][\udc80-\udcbf]?|[\udcf0-\udcf4][\udc80-\udcbf]{0,2})\\Z"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_A_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class HalfCharacters:
    """Joins the halves of characters that a server has cut between two pieces of one text.

    The pieces come from `load_json`, which turns halves into lone surrogates. What stays half becomes U+FFFD,
    and so the text that leaves here can always be encoded.
    """

    def __init__(self) -> None:
        self.held = ""  # half a character, at the end of what has come so far

    def join(self, piece: str) -> str:
        """The text of `piece`, with what was held before and without what is now held."""
        if not self.held and (piece.isascii() or not _SURROGATE.search(piece)):
            return piece
        paired = (self.held + piece).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        half = _HALF.search(paired)
        self.held = half.group() if half else ""
        return _whole(paired[: half.start()] if half else paired)

    def rest(self) -> str:
        """What is held, at the end of the text: nothing comes any more that could complete it."""
        held, self.held = self.held, ""
        return _whole(held)


def _whole(text: str) -> str:
    return _NOT_A_BYTE.sub("\ufffd", text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
