"""`.env` files: `NAME=value` lines that fill what the environment lacks."""

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
    """The assignments of a `.env` file. Lines that are none are passed over: the file has other readers."""
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
    """The environment with the file's names where it lacks them, and a note if the file is unreadable."""
    try:
        text = file.read_text("utf-8-sig") if file.is_file() else ""
    except (OSError, ValueError) as error:
        return dict(environ), f"{file} is passed over: {_why(error)}"
    return fill(environ, parse_dotenv(text)), None


def fill(environ: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Both together; a name that the environment has, and not as an empty string, keeps its value."""
    return {**more, **{name: value for name, value in environ.items() if value or name not in more}}


def _why(error: Exception) -> str:
    return error.strerror or "unreadable" if isinstance(error, OSError) else "it is not UTF-8 text"
