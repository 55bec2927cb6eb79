"""`.env` files: `NAME=value` lines for names that the environment does not have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*
        (?:"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>[^']*)'|(?P<bare>[^\r\n]*?))
        [ \t]*(?:(?:(?<=[\s"'=])\#)[^\r\n]*)?$""",
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse_dotenv(text: str) -> dict[str, str]:
    """The assignments in a `.env` file. Other lines are ignored: other programs read the file, too."""
    found: dict[str, str] = {}
    for line in _LINE.finditer(text.replace("\r\n", "\n")):
        if line["double"] is not None:
            value = _ESCAPE.sub(
                lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), line["double"]
            )
        elif line["single"] is not None:
            value = line["single"]
        else:
            value = line["bare"].strip()
        found[line["name"]] = value
    return found


def fill_from_dotenv(environ: Mapping[str, str], file: Path) -> tuple[dict[str, str], str | None]:
    """The environment with the file's variables added, and a note for the log if the file cannot be read.

    A variable that the environment has keeps its value; one that is empty there counts as missing.
    """
    try:
        text = file.read_text("utf-8-sig") if file.is_file() else ""
    except (OSError, ValueError) as error:
        return dict(environ), f"{file} is ignored: {_why(error)}"
    return fill(environ, parse_dotenv(text)), None


def fill(environ: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Both together. A name that the environment has keeps its value, unless that is an empty string."""
    return {**more, **{name: value for name, value in environ.items() if value or name not in more}}


def _why(error: Exception) -> str:
    return error.strerror or "unreadable" if isinstance(error, OSError) else "it is not UTF-8 text"
