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

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Literal

import msgspec

from app.concurrency.fairness import give_way
from app.tools.base import ToolError

BEGIN, END, END_OF_FILE = "*** Begin Patch", "*** End Patch", "*** End of File"
ADD, UPDATE, DELETE, MOVE = "*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "
MAX_LINES = 100_000
MAX_HUNKS = 1000  # of one file
TIDY: tuple[Callable[[str], str], ...] = (str, str.rstrip, str.strip)


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
        if len(patch.hunks) > MAX_HUNKS:
            raise ToolError(f"The patch changes {patch.path} in more than {MAX_HUNKS} places: use `write`.")
    return patches


def apply_hunks(text: str, patch: FilePatch) -> str:
    """The text of an updated file. Raises ToolError if a hunk's lines are not there."""
    crlf = "\r\n" in text
    lines = text.replace("\r\n", "\n").split("\n")
    found, new, place = Lines(lines), [], 0
    for hunk in patch.hunks:
        give_way()
        start = place
        if hunk.context:
            start = found.find([hunk.context], start)
            if start < 0:
                raise ToolError(f"`@@ {hunk.context}` was not found in {patch.path}. Nothing was changed.")
            start += 1
        start = _find_hunk(found, hunk, start, patch.path)
        new += [*lines[place:start], *hunk.new]
        place = start + len(hunk.old)
    return ("\r\n" if crlf else "\n").join([*new, *lines[place:]])


class Lines:
    """Finds lines among lines in time proportional to their size, whatever is in them."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self._joined: dict[Callable[[str], str], tuple[str, Sequence[int]]] = {}

    def find(self, wanted: Sequence[str], place: int) -> int:
        """Where the wanted lines begin, at `place` or later; -1: nowhere. Blanks around lines are forgiven if
        nothing fits exactly.
        """
        for tidy in TIDY:
            if tidy not in self._joined:
                tidied = [tidy(line) for line in self.lines]
                starts: Sequence[int] = [0, *accumulate(len(line) + 1 for line in tidied)]
                self._joined[tidy] = "\n" + "\n".join(tidied) + "\n", starts
            joined, starts = self._joined[tidy]
            found = joined.find("\n" + "\n".join(tidy(line) for line in wanted) + "\n", starts[place])
            if found >= 0:
                return bisect_left(starts, found)
            give_way()
        return -1

    def are_at(self, wanted: Sequence[str], place: int) -> bool:
        there = self.lines[place : place + len(wanted)]
        return any([*map(tidy, there)] == [*map(tidy, wanted)] for tidy in TIDY)


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


def _find_hunk(found: Lines, hunk: Hunk, place: int, path: str) -> int:
    """Where the hunk's old lines are."""
    count, size = len(found.lines), len(hunk.old)
    if not hunk.old:  # only new lines: at the end, or after the context
        last = count - 1 if not found.lines[-1] else count
        return place if hunk.context else max(place, last)
    if hunk.at_end:
        for start in (count - size, count - size - 1):
            if start >= place and found.are_at(hunk.old, start):
                return start
    if (start := found.find(hunk.old, place)) >= 0:
        return start
    shown = "\n".join(hunk.old[:20])
    raise ToolError(f"These lines were not found in {path}, and nothing was changed:\n{shown}")
