"""May a command run, may it not, or has somebody to be asked?
(docs/approvals.md#which-commands-are-asked-about)

Pure, but for looking up which programs there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import get_args

import msgspec

from app.config.tool_settings import ExecAsk, ExecSecurity, ExecSettings
from app.tools.approvals.document import AllowlistEntry
from app.tools.exec.allowlist import Segment, allows
from app.tools.exec.gate import ExecRequest
from app.tools.exec.programs import find_program, search_folders
from app.tools.exec.safe_bins import is_safe
from app.tools.exec.shell_words import read_command

Rules = Sequence[tuple[ExecSecurity, ExecAsk]]


class Verdict(IntEnum):
    """The stricter, the greater."""

    ALLOW = 0
    ASK = 1
    DENY = 2


class Analysis(msgspec.Struct, frozen=True):
    """A command taken apart. `segments` is empty if only a shell understands it."""

    segments: tuple[Segment, ...]
    is_allowed: bool

    @property
    def argv(self) -> tuple[str, ...] | None:
        """The words of a command of one program, whose file there is; None for any other."""
        if len(self.segments) != 1 or self.segments[0].program is None:
            return None
        return self.segments[0].words


def analyse(request: ExecRequest, settings: ExecSettings, allowlist: Sequence[AllowlistEntry]) -> Analysis:
    """Looks the programs up, and them on the allowlist. With variables of its own no command is allowed: many
    programs run what a variable says.
    """
    read = read_command(request.command) or ()
    workdir, folders = request.workdir, search_folders(settings.path_prepend)
    segments = tuple(Segment(words, find_program(words[0], workdir, folders)) for words in read)
    is_alone = len(segments) == 1

    def is_allowed(segment: Segment) -> bool:
        program = segment.program
        if program is None:
            return False
        if is_safe(segment.words, program, settings.safe_bins, settings.safe_bin_trusted_dirs):
            return True
        return any(allows(entry, segment, is_alone=is_alone, workdir=workdir) for entry in allowlist)

    allowed = bool(segments) and not request.env and all(map(is_allowed, segments))
    return Analysis(segments, allowed)


def verdict_of(security: ExecSecurity, ask: ExecAsk, is_allowed: bool) -> Verdict:
    """What one rule says about a command that is on the allowlist, or is not."""
    if security == "deny":
        return Verdict.DENY
    if ask == "always":
        return Verdict.ASK
    if security == "full" or is_allowed:
        return Verdict.ALLOW
    return Verdict.ASK if ask == "on-miss" else Verdict.DENY


def strictest(rules: Rules) -> tuple[ExecSecurity, ExecAsk]:
    """The strictest word of each kind, to be shown."""
    securities, asks = get_args(ExecSecurity), get_args(ExecAsk)
    return (
        min((security for security, _ in rules), key=securities.index),
        max((ask for _, ask in rules), key=asks.index),
    )


def decide(rules: Rules, wish: str | None, is_allowed: bool) -> Verdict:
    """The strictest of what the rules say. `wish` is the model's own `ask`, which can only add a question."""
    found = max(verdict_of(security, ask, is_allowed) for security, ask in rules)
    wants_question = wish == "always" or (wish == "on-miss" and not is_allowed)
    return max(found, Verdict.ASK) if wants_question else found
