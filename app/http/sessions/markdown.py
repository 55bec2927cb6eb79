"""Texts of messages as parts of one Markdown document, none of which runs into the next. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_HTML = re.compile(r"( {0,3})<")
_BACKTICKS = re.compile(r"`+")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*")
MAX_YEAR_MS = 253_402_300_799_999  # the end of the year 9999


def closed(text: str) -> str:
    """A text that is Markdown, mostly, and ends whatever it has begun.

    An open fence is closed, and a line that would begin a block of HTML, whose end may never come, is text
    (CommonMark 0.31, sections 4.5 and 4.6). Headings become smaller than those of messages.
    """
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.fullmatch(line)
        if fence:
            if found and found[1].startswith(fence) and not found[2].strip():
                fence = ""
        elif found and not (found[1][0] == "`" and "`" in found[2]):
            fence = found[1]
        else:
            line = _outside(line)
        lines.append(line)
    if fence:
        lines.append(fence)
    return "\n".join(lines)


def as_block(text: str, language: str = "") -> str:
    """A text between fences that it does not contain."""
    longest = max((len(found) for found in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def moment(milliseconds: int) -> str:
    """A time since 1970, for people."""
    seconds = min(max(milliseconds, 0), MAX_YEAR_MS) / 1000
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _outside(line: str) -> str:
    """A line outside a block of code."""
    if line.startswith(("# ", "## ")):
        return "##" + line
    if _UNDERLINE.fullmatch(line):  # it would make the line above it a heading
        return "\\" + line.lstrip() if line.strip() else line
    return _HTML.sub(r"\1\\<", line, count=1) if _HTML.match(line) else line
