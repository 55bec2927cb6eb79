"""`read`: the text of a file, by lines."""

from __future__ import annotations

import os
from typing import Annotated, BinaryIO, Literal

from msgspec import Meta

from app.concurrency.fairness import give_way
from app.tools.base import Invocation, Tool, ToolError, ToolOutput, define_tool
from app.tools.files.files import Files
from app.tools.files.text import BINARY_SAMPLE, is_binary
from app.tools.parameters import Parameters

MAX_LINES = 2000  # of one call
MAX_BYTES = 50 * 1024
PIECE = 64 * 1024
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


class Read(Parameters):
    path: Annotated[str, Meta(description="The file, relative to the workspace or absolute.")]
    offset: Annotated[int, Meta(description="The first line to read, from 1.", ge=1)] | None = None
    limit: Annotated[float, Meta(description="The most lines to read.")] | None = None
    cursor: (
        Annotated[
            int,
            Meta(description="Where to go on in a long line, as told by an earlier call.", ge=0, le=2**40),
        ]
        | None
    ) = None
    optional: Annotated[Literal[True], Meta(description="A missing file is no error.")] | None = None


def read() -> Tool:
    return define_tool(
        "read",
        f"Read a text file, at most {MAX_LINES} lines or {MAX_BYTES // 1024} KB at once: for more, go on "
        "with `offset`. Use `view_image` for pictures.",
        Read,
        _read,
        summary="read a file",
        is_parallel=True,
        only_reads=True,
    )


def _read(call: Invocation, given: Read) -> ToolOutput:
    files = Files(call.run)
    if given.optional and not files.exists(given.path):
        return ToolOutput("", details={"status": "not_found", "path": given.path})
    most = min(max(int(given.limit), 1), MAX_LINES) if given.limit is not None else MAX_LINES
    with files.regular(given.path) as fd, os.fdopen(os.dup(fd), "rb") as file:
        if is_binary(file.read(BINARY_SAMPLE)):
            raise ToolError(_binary(given.path, os.fstat(fd).st_size))
        file.seek(given.cursor or 0)
        if given.cursor is None:
            _skip_lines(call, file, (given.offset or 1) - 1, files.shown(given.path))
        return _lines(call, file, given, most)


def _binary(path: str, size: int) -> str:
    hint = " Use `view_image` to see it." if path.lower().endswith(IMAGES) else ""
    return f"{path} is a binary file of {size} bytes.{hint}"


def _skip_lines(call: Invocation, file: BinaryIO, count: int, shown: str) -> None:
    """Move to the line after `count` lines. Raises ToolError if there are not so many."""
    if not count:
        return
    left = count
    while True:
        call.cancel.check()
        give_way()
        position = file.tell()
        piece = file.read(PIECE)
        if not piece:
            raise ToolError(
                f"{shown} has only {count - left + 1} line(s): offset {count + 1} is behind its end."
            )
        found = piece.count(b"\n")
        if found >= left:
            place = -1
            for _ in range(left):
                place = piece.index(b"\n", place + 1)
            file.seek(position + place + 1)
            return
        left -= found


def _lines(call: Invocation, file: BinaryIO, given: Read, most: int) -> ToolOutput:
    start = file.tell()
    raw = file.read(MAX_BYTES + 1)
    lines = raw.split(b"\n", most)
    rest_of_piece = lines.pop() if len(lines) > most else None
    kept = b"\n".join(lines) + (b"\n" if rest_of_piece is not None else b"")
    if len(raw) > MAX_BYTES and rest_of_piece is None:  # cut at the last whole line
        cut = raw.rfind(b"\n", 0, MAX_BYTES) + 1
        if not cut:
            return _part_of_line(raw[:MAX_BYTES], start)
        kept = raw[:cut]
    text = kept.decode("utf-8", "replace")
    file.seek(start + len(kept))
    left = _count_lines(call, file)
    if left and given.cursor is None:
        following = (given.offset or 1) + kept.count(b"\n")
        text = text.removesuffix("\n")
        text += f"\n\n[{left} more line(s) in file. Use offset={following} to continue.]"
    elif left:
        text += f"\n\n[{left} more line(s) in file. Use cursor={start + len(kept)} to continue.]"
    return ToolOutput(text)


def _part_of_line(raw: bytes, start: int) -> ToolOutput:
    """A piece of a line that is longer than what a call may return."""
    whole = raw[: len(raw) - _split_character(raw)]
    note = f"\n\n[The line goes on. Use cursor={start + len(whole)} to continue.]"
    return ToolOutput(whole.decode("utf-8", "replace") + note)


def _split_character(raw: bytes) -> int:
    """How many bytes at the end belong to a character that is not whole."""
    for count in range(1, min(4, len(raw)) + 1):
        byte = raw[-count]
        if byte >= 0xC0:
            return count if count < (4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2) else 0
        if byte < 0x80:
            return 0
    return 0


def _count_lines(call: Invocation, file: BinaryIO) -> int:
    """How many lines follow."""
    lines, last = 0, b"\n"
    while piece := file.read(PIECE):
        call.cancel.check()
        give_way()
        lines += piece.count(b"\n")
        last = piece[-1:]
    return lines + (last != b"\n")
