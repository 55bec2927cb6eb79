"""An agent's notes: `MEMORY.md` and the Markdown files in `memory/` of its workspace."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from app.tools.base import ToolError
from app.tools.files.files import Files

MAX_FILES = 2000
MAX_BYTES = 1024 * 1024  # of one file
MAX_TOTAL_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 4  # of folders in `memory/`
MAX_PASSAGE = 1500  # characters

_NOTE = re.compile(r"MEMORY\.md|memory/(?:[^/]+/)*[^/]+\.md", re.IGNORECASE)


class Note(msgspec.Struct, frozen=True):
    """A file with notes; `path` is relative to the workspace."""

    path: str
    text: str


class Passage(msgspec.Struct, frozen=True):
    """A part of a note that is found as a whole. Lines are counted from 1, the last one included."""

    path: str
    first_line: int
    last_line: int
    text: str


def is_note(path: str) -> bool:
    return _NOTE.fullmatch(os.path.normpath(path)) is not None


def stamps(files: Files) -> dict[str, tuple[int, int]]:
    """The path of each note with its time and size, to see whether any has changed."""
    found: dict[str, tuple[int, int]] = {}
    for path in _paths(files):
        with suppress(ToolError), files.regular(path) as fd:
            stat = os.fstat(fd)
            found[path] = (stat.st_mtime_ns, stat.st_size)
    return found


def read_notes(files: Files, paths: dict[str, tuple[int, int]]) -> list[Note]:
    """The notes, without those that are too large or cannot be read."""
    notes, total = [], 0
    for path, (_, size) in paths.items():
        total += size
        if total > MAX_TOTAL_BYTES:
            break
        with suppress(ToolError):
            notes.append(Note(path, files.read(path, MAX_BYTES).decode("utf-8", "replace")))
    return notes


def passages(note: Note) -> Iterator[Passage]:
    """The note in parts: a heading with what is below it, in pieces of at most MAX_PASSAGE characters."""
    lines = note.text.split("\n")
    first, size = 0, 0
    for number, line in enumerate([*lines, "# end"]):
        begins = line.startswith("#") or number == len(lines)
        if number > first and (begins or size + len(line) > MAX_PASSAGE):
            text = "\n".join(lines[first:number]).strip()
            if text:
                yield Passage(note.path, first + 1, number, text)
            first, size = number, 0
        size += len(line) + 1


def _paths(files: Files) -> list[str]:
    paths = ["MEMORY.md"] if _is_there(files, "MEMORY.md") else []
    for path in _below(files, "memory", 0):
        if len(paths) >= MAX_FILES:
            break
        paths.append(path)
    return paths


def _is_there(files: Files, path: str) -> bool:
    with suppress(ToolError):
        return files.exists(path)
    return False


def _below(files: Files, folder: str, depth: int) -> Iterator[str]:
    try:
        with files.opened(folder, os.O_RDONLY | os.O_DIRECTORY) as fd, os.scandir(fd) as found:
            entries = sorted((one.name, one.is_dir(follow_symlinks=False)) for one in found)
    except ToolError:
        return
    for name, is_folder in entries:
        path = f"{folder}/{name}"
        if is_folder and depth < MAX_DEPTH:
            yield from _below(files, path, depth + 1)
        elif name.lower().endswith(".md"):
            yield path
