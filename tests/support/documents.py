"""The code blocks of the documents, for tests that run them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.gateway import ROOT

_FENCE = re.compile(r"^```(?P<info>\S[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """What stands between two fences; the first word of the opening one is the language."""

    document: str
    line: int
    language: str
    runs: bool  # not marked ```sh no-run
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks() -> Iterator[Block]:
    """Those of README.md, then those of docs/."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        document = path.read_text()
        for fence in _FENCE.finditer(document):
            language, *marks = fence["info"].split()
            line = document.count("\n", 0, fence.start()) + 1
            name = str(path.relative_to(ROOT))
            yield Block(name, line, language, "no-run" not in marks, fence["text"])
