"""Asks at the terminal whether a call may be made: `y` once, `a` always, `n` no."""

from __future__ import annotations

import os
import select
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from app.cli.output import one_line, print_text

POLL_SECONDS = 0.2
MAX_LINE = 1024  # bytes
ANSWERS = {
    "y": "allow-once",
    "yes": "allow-once",
    "a": "allow-always",
    "always": "allow-always",
    "n": "deny",
    "no": "deny",
}


def is_interactive() -> bool:
    """Whether there is somebody to ask: standard input and standard error are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(request: Mapping[str, Any], is_over: Callable[[], bool]) -> str | None:
    """The decision about `request`, which is as the protocol's events have it. None if it `is_over`, which is
    asked a few times a second, before somebody has answered.

    What was typed before the question is thrown away: it was no answer to it.
    """
    allowed: Sequence[str] = request.get("allowedDecisions") or ("allow-once", "deny")
    _show(request)
    descriptor = sys.stdin.fileno()
    with suppress(termios.error):
        termios.tcflush(descriptor, termios.TCIFLUSH)
    while True:
        _prompt(allowed)
        line = read_line(descriptor, is_over)
        if line is None:
            print_text("\nIt is decided already.", file=sys.stderr)
            return None
        decision = ANSWERS.get(line.strip().lower()) if line else "deny"
        if decision in allowed:
            return decision


def _show(request: Mapping[str, Any]) -> None:
    """What is asked, on standard error. Nothing in it can move the cursor or hide a line."""
    what = request.get("command") or request.get("title") or ""
    lines = [f"The agent {request.get('agentId')} wants to run:" if request.get("command") else "Allow this?"]
    lines += [f"    {one_line(line)}" for line in str(what).split("\n")]
    for line in str(request.get("warningText") or request.get("description") or "").splitlines():
        lines.append(f"  ! {one_line(line)}")
    if request.get("cwd"):
        lines.append(f"  in {one_line(str(request['cwd']))}")
    print_text("\n".join(lines), file=sys.stderr)


def _prompt(allowed: Sequence[str]) -> None:
    always = "[a]lways, " if "allow-always" in allowed else ""
    print_text(f"[y]es once, {always}[n]o? ", end="", file=sys.stderr)


def read_line(descriptor: int, is_over: Callable[[], bool]) -> str | None:
    """A line from the terminal; empty at its end (Ctrl-D). None if it is over before."""
    while not is_over():
        if select.select([descriptor], [], [], POLL_SECONDS)[0]:
            data = os.read(descriptor, MAX_LINE)
            return data.decode(errors="replace")
    return None
