"""A command's output as text that is harmless wherever it is shown. Pure."""

from __future__ import annotations

import codecs
import re

# ECMA-48: control sequences, strings with their end, other escapes; each also in its one-byte (C1) form.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
# An escape at the end of what is there, which may go on in what comes next.
_OPEN = re.compile(
    r"(?:\x1b\[?|\x9b)[0-?]*[ -/]*\Z"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*\x1b?\Z"
)
# Other control characters, and those that turn the direction of a line round.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LINE_ENDS = re.compile(r"\r*\n|\r+")
MAX_HELD = 4096  # characters of a sequence that does not end


class OutputText:
    """Turns bytes into text, piece by piece: invalid UTF-8 is replaced, terminal sequences are left out, and
    every line ends with a line feed.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes, final: bool = False) -> str:
        text = self._held + self._decoder.decode(data, final)
        self._held = ""
        if not final:
            text, self._held = _split(text)
        if not text.isprintable():
            text = _SEQUENCES.sub("", text)
            text = _LINE_ENDS.sub("\n", text)
            text = _CONTROLS.sub("", text)
        return text


def _split(text: str) -> tuple[str, str]:
    """What can be shown, and the beginning of something whose end has not come yet."""
    tail = text[-MAX_HELD:]
    if (found := _OPEN.search(tail)) is not None:
        place = len(text) - len(tail) + found.start()
        return text[:place], text[place:]
    kept = text.rstrip("\r")
    return kept, text[len(kept) :]
