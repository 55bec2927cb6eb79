"""Texts of files as models read and change them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from app.concurrency.fairness import give_way
from app.tools.base import ToolError

BINARY_SAMPLE = 8192  # bytes that are looked at for what text does not have
MAX_SHOWN = 4000  # characters of a file that are shown with an error
MAX_SEARCHED_LINES = 20_000  # lines that are compared with a text that was not found
MAX_COMPARED = 200  # characters of a line
MIN_LIKENESS = 0.3


class Edit(msgspec.Struct, frozen=True, rename="camel"):
    """Replace `old_text`, which must be there exactly once, by `new_text`."""

    old_text: str
    new_text: str


def is_binary(sample: bytes) -> bool:
    return b"\0" in sample[:BINARY_SAMPLE]


def apply_edits(text: str, edits: Sequence[Edit], shown: str) -> str:
    """The text with all edits made, each against the text as it was. `shown` is the file's path.

    Raises ToolError, and says what is there instead, if an old text is missing, is there more than once, or
    overlaps another.
    """
    crlf = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    if crlf:  # models write line feeds
        text = text.replace("\r\n", "\n")
    places: list[tuple[int, int, str]] = []
    for number, edit in enumerate(edits, 1):
        give_way()
        old, new = edit.old_text.replace("\r\n", "\n") if crlf else edit.old_text, edit.new_text
        start = _find(text, old, f"edits[{number - 1}]", shown)
        places.append((start, start + len(old), new.replace("\r\n", "\n") if crlf else new))
    places.sort()
    for (_, end, _), (start, _, _) in pairwise(places):
        if start < end:
            raise ToolError(f"Two edits of {shown} overlap: join them into one. Nothing was changed.")
    for start, end, new in reversed(places):
        text = text[:start] + new + text[end:]
    return text.replace("\n", "\r\n") if crlf else text


def _find(text: str, old: str, which: str, shown: str) -> int:
    if not old:
        raise ToolError(f"{which}.oldText is empty. To make a new file, use `write`.")
    start = text.find(old)
    if start < 0:
        raise ToolError(
            f"{which}.oldText was not found in {shown}. Nothing was changed.{_near(text, old)}\n\n"
            f"Current file contents:\n{excerpt(text)}"
        )
    if (again := text.find(old, start + 1)) >= 0:
        lines = ", ".join(str(text.count("\n", 0, place) + 1) for place in (start, again))
        count = max(text.count(old), 2)
        raise ToolError(
            f"{which}.oldText is there {count} times in {shown}, first in lines {lines}: add lines around it "
            "until it is unique. Nothing was changed."
        )
    return start


def _near(text: str, old: str) -> str:
    """Where the text has something like `old`: the same but for blanks, or the most similar lines."""
    lines, wanted = text.split("\n", MAX_SEARCHED_LINES), old.strip("\n").split("\n")
    give_way()
    if (start := _find_tidy(lines, wanted)) is not None:
        return (
            f" Lines {start + 1} to {start + len(wanted)} differ from it in white space alone:\n"
            + "\n".join(lines[start : start + len(wanted)])[:MAX_SHOWN]
        )
    best, likeness = 0, MIN_LIKENESS
    pieces = _pieces(wanted[0])
    for number, line in enumerate(lines[:MAX_SEARCHED_LINES], 1):
        give_way()
        if (found := _likeness(pieces, _pieces(line))) > likeness:
            best, likeness = number, found
    if not best:
        return ""
    near = "\n".join(lines[best - 1 : best - 1 + len(wanted)])[:MAX_SHOWN]
    return f" The most similar lines begin at line {best}:\n{near}"


def _find_tidy(lines: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Where the wanted lines are, if blanks do not count. Takes time in proportion to the text, whatever is
    in it: a search line by line would not.
    """
    tidied = (["", *(" ".join(line.split()) for line in some), ""] for some in (lines, wanted))
    joined, searched = ("\n".join(some) for some in tidied)
    place = joined.find(searched)
    return joined.count("\n", 0, place) if place >= 0 else None


def _pieces(line: str) -> set[str]:
    """All runs of three characters, by which lines are compared."""
    line = f" {line.strip()[:MAX_COMPARED]} "
    return {line[place : place + 3] for place in range(len(line) - 2)}


def _likeness(one: set[str], other: set[str]) -> float:
    """1 for the same pieces, 0 for none in common."""
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 0.0


def excerpt(text: str) -> str:
    """The beginning of a text, for an error message."""
    if len(text) <= MAX_SHOWN:
        return text
    return f"{text[:MAX_SHOWN]}\n[{len(text) - MAX_SHOWN} more characters]"
