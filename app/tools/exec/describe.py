"""A command as somebody is asked about it: word for word, without secrets and without tricks. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from app.logs.redaction import REDACTED, redact_words
from app.tools.approvals.record import ApprovalRequest, Decision
from app.tools.base import Invocation
from app.tools.exec.allowlist import Segment
from app.tools.exec.gate import ExecRequest
from app.tools.exec.permission import Analysis
from app.tools.exec.programs import identity_of
from app.tools.exec.safe_bins import NEVER_SAFE

# What a reader does not see: control characters, and those that turn or join the text around them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)


def describe(
    call: Invocation,
    request: ExecRequest,
    analysis: Analysis,
    secrets: Iterable[str],
    *,
    can_be_remembered: bool,
) -> ApprovalRequest:
    """What is asked. `secrets` are replaced wherever they are. `can_be_remembered`: whether `allow-always`
    would have an effect.
    """
    run, longest_first = call.run, sorted(secrets, key=len, reverse=True)
    shown = visible(request.command, longest_first)
    argv = analysis.argv
    is_whole = shown == request.command
    program = analysis.segments[0].program if argv else None
    always = can_be_remembered and is_whole and argv is not None and not request.env
    allowed: tuple[Decision, ...] = (
        ("allow-once", "allow-always", "deny") if always else ("allow-once", "deny")
    )
    return ApprovalRequest(
        kind="exec",
        agent_id=run.agent_id,
        session_key=run.session_key,
        run_id=run.run_id,
        call_id=call.call_id,
        tool="exec",
        digest=digest_of(request, analysis),
        allowed=allowed,
        command=shown,
        argv=argv if is_whole else None,
        directory=str(request.workdir),
        env_names=tuple(sorted(request.env)),
        resolved_path=None if program is None else str(program.path),
        command_count=len(analysis.segments),
        warnings=tuple(warnings(request, analysis, shown)),
    )


def digest_of(request: ExecRequest, analysis: Analysis) -> str:
    """Another text for every other command, directory and environment, and when a program's file changes."""
    programs = [
        None if (program := segment.program) is None else [str(program.real_path), program.identity]
        for segment in analysis.segments
    ]
    words = [list(segment.words) for segment in analysis.segments]
    scripts = [
        identity_of(one) for segment in analysis.segments for one in _scripts(segment, request.workdir)
    ]
    bound = [request.command, words, str(request.workdir), sorted(request.env.items()), programs, scripts]
    return digest_of_texts(bound)


def _scripts(segment: Segment, workdir: Path) -> Iterable[Path]:
    """What its arguments may name as a program to be run: `sh build.sh`."""
    if is_interpreter(segment):
        yield from (workdir / word for word in segment.words[1:])


def digest_of_texts(bound: object) -> str:
    """Another text for every other JSON value."""
    return hashlib.sha256(json.dumps(bound).encode()).hexdigest()


def visible(command: str, secrets: Iterable[str]) -> str:
    """The command without secrets; what cannot be seen is written as `\\u{200b}`."""
    for secret in secrets:
        command = command.replace(secret, REDACTED)
    plain = redact_words(command)
    return _INVISIBLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", plain)


def warnings(request: ExecRequest, analysis: Analysis, shown: str) -> Iterable[str]:
    """What somebody should know before approving it."""
    if _INVISIBLE.search(request.command):
        yield "It has invisible characters, which are written as \\u{…} here."
    if shown.count(REDACTED) > request.command.count(REDACTED):
        yield "A part of it looks like a credential and is not shown."
    if not analysis.segments:
        yield "Only a shell can say what this runs: it redirects, substitutes or expands something."
    missing = sorted({one.words[0] for one in analysis.segments if one.program is None})
    if missing:
        yield f"There is no such program: {', '.join(missing)}."
    if any(map(runs_its_input, analysis.segments)):
        yield "It runs whatever it is given later, which is not asked about."
    if request.env:
        yield f"It sets variables: {', '.join(sorted(request.env))}."


def runs_its_input(segment: Segment) -> bool:
    """Whether it is a shell or the like that is given nothing to run but its input: the agent can write to it
    as long as it runs.
    """
    return is_interpreter(segment) and all(word.startswith("-") for word in segment.words[1:])


def runs_own_script(segment: Segment, workdir: Path, folder: Path | None) -> bool:
    """Whether it runs a file that the agent can change before it runs the next time."""
    scripts = (one for one in _scripts(segment, workdir) if one.is_file())
    return any(is_inside(one.resolve(), folder) for one in scripts)


def is_interpreter(segment: Segment) -> bool:
    """Whether it runs what its arguments or its input say."""
    program = segment.program
    names = (segment.words[0].rpartition("/")[2], "" if program is None else program.real_path.name)
    return any(NEVER_SAFE.fullmatch(name) for name in names)


def is_inside(path: Path, folder: Path | None) -> bool:
    """Whether the file is one that the agent itself could write."""
    return folder is not None and path.is_relative_to(folder.resolve())
