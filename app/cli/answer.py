"""How `agent` prints an answer: whole or as it comes, as text or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from app.cli.output import print_json
from app.cli.spinner import Spinner


class AnswerPrinter:
    """`piece` for each piece of text, then `end` or `failed`."""

    def __init__(self, args: argparse.Namespace, spinner: Spinner) -> None:
        self._json: bool = args.json
        self._stream: bool = args.stream
        self._spinner = spinner
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def piece(self, text: str) -> None:
        self._pieces.append(text)
        if not self._stream:
            return
        self._spinner.stop()
        if self._json:
            print_json({"type": "delta", "text": text})
        else:
            print(text, end="", flush=True)

    def end(self, document: Mapping[str, Any]) -> None:
        """`document` is what `--json` tells of the run; its text is all that was said."""
        self._spinner.stop()
        if self._json:
            print_json({"type": "final", **document} if self._stream else document)
        else:
            print("" if self._stream else document["text"])

    def failed(self) -> None:
        """What was printed stays, on a line of its own."""
        self._spinner.stop()
        if self._stream and self._pieces and not self._json:
            print()
