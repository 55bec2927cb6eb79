"""Asks at the terminal what an agent wants to know: a number, several, or another answer in words."""

from __future__ import annotations

import sys
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from app.cli.approver import read_line
from app.cli.output import one_line, print_text


def ask_questions(asked: Mapping[str, Any], is_over: Callable[[], bool]) -> dict[str, list[str]] | None:
    """The answers, by the question's id; an empty dict if there are to be none (Ctrl-D). None if it
    `is_over`, which is asked a few times a second, before all are answered.

    What was typed before the question is thrown away: it was no answer to it.
    """
    descriptor = sys.stdin.fileno()
    with suppress(termios.error):
        termios.tcflush(descriptor, termios.TCIFLUSH)
    answers: dict[str, list[str]] = {}
    for question in asked.get("questions") or ():
        _show(question)
        while not (answer := answers.get(question["questionId"])):
            print_text("> ", end="", file=sys.stderr)
            line = read_line(descriptor, is_over)
            if line is None:
                print_text("\nIt is over already.", file=sys.stderr)
                return None
            if line == "":
                return {}
            if answer := _answer(question, line.strip()):
                answers[question["questionId"]] = answer
    return answers


def _show(question: Mapping[str, Any]) -> None:
    """The question, on standard error. Nothing in it can move the cursor or hide a line."""
    lines = [one_line(str(question.get("question")))]
    for number, option in enumerate(question.get("options") or (), 1):
        description = f": {option['description']}" if option.get("description") else ""
        lines.append(f"  {number}. {one_line(str(option.get('label')) + description)}")
    several = ", or several, as in 1,2" if question.get("multiSelect") else ""
    lines.append(f"A number{several}; or an answer of your own.")
    print_text("\n".join(lines), file=sys.stderr)


def _answer(question: Mapping[str, Any], line: str) -> list[str]:
    """The labels of the numbers, or the line itself."""
    labels = [str(option.get("label")) for option in question.get("options") or ()]
    numbers = [part.strip() for part in line.split(",")]
    if all(part.isdecimal() and 1 <= int(part) <= len(labels) for part in numbers):
        chosen = list(dict.fromkeys(labels[int(part) - 1] for part in numbers))
        return chosen if question.get("multiSelect") else chosen[:1] if len(chosen) == 1 else []
    return [line] if line else []
