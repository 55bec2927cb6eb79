"""How `agent` prints an answer: whole or as it arrives, as text or as JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from app.cli.output import one_line, print_json, print_text
from app.cli.spinner import Spinner


class AnswerPrinter:
    """`print_piece` for each piece of text, then `finish` or `fail`. `text` is what came so far."""

    def __init__(self, args: argparse.Namespace, spinner: Spinner) -> None:
        self._json: bool = args.json
        self._stream: bool = args.stream
        self._shows_tools: bool = not args.json and not args.quiet
        self._spinner = spinner
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def print_piece(self, text: str) -> None:
        """Keeps a piece, and prints it if the answer is streamed."""
        self._pieces.append(text)
        if not self._stream:
            return
        self._spinner.stop()
        if self._json:
            print_json({"type": "delta", "text": text})
        else:
            print_text(text, end="")

    def print_tool(self, name: str, summary: str | None, seconds: float, *, failed: bool) -> None:
        """A line on standard error about a call of a tool that has ended."""
        if not self._shows_tools:
            return
        words = [f"tool {name}", summary or "", "failed" if failed else "", f"({seconds:.1f} s)"]
        line = one_line(" ".join(filter(None, words)))
        is_in_line = self._stream and self._pieces and not self._pieces[-1].endswith("\n")
        if is_in_line and sys.stdout.isatty() and sys.stderr.isatty():
            line = f"\n{line}"
        self._spinner.print_line(line)

    def pause(self) -> None:
        """Something else is printed now: the line of the pieces so far ends."""
        self._spinner.stop()
        if self._stream and self._pieces and not self._json:
            print(flush=True)

    def finish(self, document: Mapping[str, Any]) -> None:
        """`document` is what `--json` prints of the run; its `text` is the whole answer."""
        self._spinner.stop()
        if self._json:
            print_json({"type": "final", **document} if self._stream else document)
        else:
            print_text("" if self._stream else document["text"])

    def fail(self) -> None:
        """Ends the line of the pieces that were printed, so that an error begins on its own."""
        self._spinner.stop()
        if self._stream and self._pieces and not self._json:
            print()
