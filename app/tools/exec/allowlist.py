"""Does the approvals document allow a command? Pure."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from app.tools.approvals.arg_pattern import are_matched
from app.tools.approvals.document import AllowlistEntry
from app.tools.exec.programs import Program
from app.tools.exec.shell_words import Words


class Segment(msgspec.Struct, frozen=True):
    """One program of a command with its arguments. `program` None: there is no such file."""

    words: Words
    program: Program | None


def allows(entry: AllowlistEntry, segment: Segment, *, is_alone: bool, workdir: Path) -> bool:
    """Whether the entry allows the segment; `is_alone` if it is all of its command."""
    program = segment.program
    if program is None:
        return False
    if entry.is_grant:
        same = (
            entry.argv == segment.words and entry.cwd == str(workdir) and entry.pattern == str(program.path)
        )
        return is_alone and same
    if not is_named(entry.pattern, program):
        return False
    return entry.arg_pattern is None or are_matched(entry.arg_pattern, segment.words[1:])


def is_named(pattern: str, program: Program) -> bool:
    """Whether `pattern` means the program: a glob on its path, or a bare name for one found in `PATH`."""
    if pattern.startswith("~/"):
        pattern = os.path.expanduser(pattern)
    if "/" not in pattern:
        return program.is_bare and fnmatchcase(program.path.name, pattern)
    return any(is_path_matched(pattern, str(path)) for path in {program.path, program.real_path})


def is_path_matched(pattern: str, path: str) -> bool:
    """Whether the glob matches the whole path. `*` stays within a folder, `**` goes through any number."""
    patterns, names = pattern.split("/"), path.split("/")
    # `reached`: after how many names the patterns so far may have ended.
    reached = {0}
    for one in patterns:
        if one == "**":
            reached = set(range(min(reached), len(names) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(names) and fnmatchcase(names[at], one)}
    return len(names) in reached
