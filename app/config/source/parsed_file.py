"""One configuration file's text together with what it parses to, so that nobody has to parse it again: the
JSON5 parser is slow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config.source.json5_text import Position, TextError, parse


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """`tree` consists of `JsonObject` and `JsonArray`; None with `mistakes`, or if the text is `null`."""

    file: Path
    text: str
    tree: Any
    mistakes: tuple[tuple[Position, str], ...] = ()

    @classmethod
    def parse(cls, text: str, file: Path) -> ParsedFile:
        """Never raises: what is wrong with the text is in `mistakes`. Does not read `file`."""
        try:
            return cls(file, text, parse(text, file))
        except TextError as error:
            return cls(file, text, None, tuple(error.mistakes))
