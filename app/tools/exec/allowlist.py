"""Does the approvals document allow a command? Pure, but for the time that a regular expression may take."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from app.errors import InvalidRequest
from app.logs.lines import log_event
from app.tools.approvals.document import AllowlistEntry
from app.tools.exec.programs import Program
from app.tools.exec.shell_words import Words

logger = logging.getLogger("app.tools")

MAX_MATCH_SECONDS = 0.01  # for a regular expression; one that takes longer does not match
MAX_ARGUMENTS = 8192  # characters that one is applied to


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
        pattern = str(Path.home()) + pattern[1:]
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


def are_matched(pattern: str, arguments: Sequence[str]) -> bool:
    """Whether the regular expression is found in the arguments, joined by single blanks."""
    text = " ".join(arguments)
    if len(text) > MAX_ARGUMENTS:
        return False
    try:
        return compiled(pattern).search(text, timeout=MAX_MATCH_SECONDS) is not None
    except TimeoutError:
        log_event(
            logger, logging.WARNING, "an argPattern takes too long and matches nothing", pattern=pattern
        )
    except InvalidRequest:
        log_event(logger, logging.WARNING, "an argPattern is no regular expression", pattern=pattern)
    return False


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Any:
    """Raises InvalidRequest."""
    # Only who has an argPattern pays for it. Python's own module knows no time limit.
    import regex  # noqa: PLC0415

    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"argPattern {pattern[:80]!r} is no regular expression: {error}") from error
