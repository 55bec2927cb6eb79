"""Patches in the form `*** Begin Patch` … `*** End Patch`: parsed and applied to texts. Pure.

*** Begin Patch
*** Add File: notes/new.md
+a line
*** Update File: app/main.py
*** Move to: app/start.py
@@ def main():
 a line that stays
-a line that goes
+a line that comes
*** Delete File: old.txt
*** End Patch
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from app.tools.base import ToolError

BEGIN, END, END_OF_FILE = "*** Begin Patch", "*** End Patch", "*** End of File"
ADD, UPDATE, DELETE, MOVE = "*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "
MAX_LINES = 100_000


class Hunk(msgspec.Struct):
    """Lines to find and what to put in their place. `context` is a line (of `@@`) that comes before them."""

    context: str | None
    old: list[str]
    new: list[str]
    at_end: bool = False


class FilePatch(msgspec.Struct):
    """What happens to one file. `lines` are those of a new one, `move_to` the new path of an old one."""

    action: Literal["add", "update", "delete"]
    path: str
    lines: list[str] = []
    hunks: list[Hunk] = []
    move_to: str | None = None


def parse_patch(text: str) -> list[FilePatch]:
    """The files of the patch. Raises ToolError, with the line's number, for anything that is no patch."""
    lines = text.strip().split("\n")
    if len(lines) > MAX_LINES:
        raise ToolError(f"The patch has more than {MAX_LINES} lines.")
    lines = [line.removesuffix("\r") for line in lines]
    if lines[0].strip() != BEGIN or lines[-1].strip() != END:
        raise ToolError(f"A patch begins with `{BEGIN}` and ends with `{END}`, each on a line of its own.")
    patches: list[FilePatch] = []
    for number, line in enumerate(lines[1:-1], 2):
        if (patch := _header(line)) is not None:
            patches.append(patch)
        elif not patches:
            raise ToolError(f"Line {number} of the patch must name a file: `{UPDATE}<path>` or the like.")
        else:
            _take(patches[-1], line, number)
    if not patches:
        raise ToolError("The patch has no files.")
    for patch in patches:
        if patch.action == "update" and not patch.hunks and patch.move_to is None:
            raise ToolError(f"The patch changes nothing in {patch.path}.")
    return patches


def apply_hunks(text: str, patch: FilePatch) -> str:
    """The text of an updated file. Raises ToolError if a hunk's lines are not there."""
    crlf = "\r\n" in text
    lines = text.replace("\r\n", "\n").split("\n")
    place = 0
    for hunk in patch.hunks:
        if hunk.context:
            place = _find_line(lines, hunk.context, place, patch.path) + 1
        start = _find_lines(lines, hunk, place, patch.path)
        lines[start : start + len(hunk.old)] = hunk.new
        place = start + len(hunk.new)
    return ("\r\n" if crlf else "\n").join(lines)


def _header(line: str) -> FilePatch | None:
    actions: tuple[tuple[str, Literal["add", "update", "delete"]], ...] = (
        (ADD, "add"),
        (UPDATE, "update"),
        (DELETE, "delete"),
    )
    for start, action in actions:
        if line.startswith(start.rstrip()):
            return FilePatch(action, line[len(start) :].strip(), [], [])
    return None


def _take(patch: FilePatch, line: str, number: int) -> None:
    """Add a line to the file's part of the patch."""
    if patch.action == "delete":
        raise ToolError(f"Line {number} of the patch: a file that is deleted has no lines.")
    if patch.action == "add":
        if not line.startswith("+"):
            raise ToolError(f"Line {number} of the patch: each line of a new file begins with `+`.")
        patch.lines.append(line[1:])
        return
    if line.startswith(MOVE) and not patch.hunks:
        patch.move_to = line[len(MOVE) :].strip()
    elif line.startswith("@@"):
        patch.hunks.append(Hunk(line[2:].strip().removesuffix("@@").strip() or None, [], []))
    elif line.strip() == END_OF_FILE and patch.hunks:
        patch.hunks[-1].at_end = True
    else:
        _take_changed(patch, line, number)


def _take_changed(patch: FilePatch, line: str, number: int) -> None:
    if not patch.hunks:
        patch.hunks.append(Hunk(None, [], []))
    sign, rest = line[:1] or " ", line[1:]
    if sign not in " +-":
        raise ToolError(f"Line {number} of the patch must begin with a blank, `+`, `-` or `@@`.")
    if sign in " -":
        patch.hunks[-1].old.append(rest)
    if sign in " +":
        patch.hunks[-1].new.append(rest)


def _find_line(lines: Sequence[str], wanted: str, place: int, path: str) -> int:
    for tidy in (str, str.rstrip, str.strip):
        for number in range(place, len(lines)):
            if tidy(lines[number]) == tidy(wanted):
                return number
    raise ToolError(f"`@@ {wanted}` was not found in {path}. Nothing was changed.")


def _find_lines(lines: Sequence[str], hunk: Hunk, place: int, path: str) -> int:
    """Where the hunk's old lines are; blanks around lines are forgiven if nothing fits exactly."""
    if not hunk.old:  # only new lines: at the end, or after the context
        last = len(lines) - 1 if lines and not lines[-1] else len(lines)
        return place if hunk.context else last
    for tidy in (str, str.rstrip, str.strip):
        wanted = [tidy(line) for line in hunk.old]
        for start in _starts(len(lines), len(wanted), place, hunk.at_end):
            if [tidy(line) for line in lines[start : start + len(wanted)]] == wanted:
                return start
    shown = "\n".join(hunk.old[:20])
    raise ToolError(f"These lines were not found in {path}, and nothing was changed:\n{shown}")


def _starts(count: int, size: int, place: int, at_end: bool) -> Iterator[int]:
    if at_end:
        yield from (start for start in (count - size, count - size - 1) if start >= place)
    yield from range(place, count - size + 1)
