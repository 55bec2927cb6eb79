"""What commands print: JSON for programs, a tidy table on a terminal, tab-separated lines in a pipe."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import orjson

from app.clock import now_ms

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # C0 and C1 but for tabs and line feeds


def print_json(document: Any, indent: bool = False) -> None:
    """On one line unless `indent`; flushed, for programs that read along."""
    print_json_text(orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else 0).decode())


def print_json_text(text: str) -> None:
    """JSON that is written already. Control characters, which JSON allows from DEL on, are escaped."""
    print(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text), flush=True)


def print_text(text: str, end: str = "\n", file: TextIO | None = None) -> None:
    """Text of others as it is, but for control characters, which a terminal would obey; flushed."""
    print(without_controls(text), end=end, file=file, flush=True)


def print_error(args: argparse.Namespace, code: str, message: str) -> None:
    """On standard error, and with `--json` as an object on standard output, too."""
    if args.json:
        print_json({"error": {"code": code, "message": message}})
    print_text(f"error: {message}", file=sys.stderr)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns with headings on a terminal; otherwise a line for each row, with tabs between its cells."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            print("\t".join(row))
        return
    widths = [max(len(cell) for cell in column) for column in zip(headings, *cells, strict=True)]
    for row in ([heading.upper() for heading in headings], *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """A name and its value, a line each: in columns on a terminal, otherwise with a tab between them."""
    width = max(len(name) for name, _ in facts) if sys.stdout.isatty() else 0
    for name, fact in facts:
        print(f"{name:<{width}}  {one_line(fact)}" if width else f"{name}\t{one_line(fact)}")


def without_controls(text: str) -> str:
    """Text of others, safe for a terminal: only tabs and line feeds are left of its control characters."""
    return _UNSAFE.sub("", text)


def one_line(text: str) -> str:
    """Text of others, safe for a terminal: line breaks and control characters are written as `\\x1b`."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def duration(seconds: float) -> str:
    """A time in the largest unit that fits, such as `3 h`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def model_name(row: Mapping[str, Any]) -> str:
    """`provider/model`, which the protocol has in two fields; what is missing is left out."""
    return "/".join(str(row[name]) for name in ("modelProvider", "model") if row.get(name))


def ago(milliseconds: Any) -> str:
    """How long ago a time was that is in milliseconds since 1970; empty if it is no number."""
    if not isinstance(milliseconds, int | float):
        return ""
    return f"{duration((now_ms() - milliseconds) / 1000)} ago"
