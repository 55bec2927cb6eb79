"""Parses JSON5 into dicts and lists that know the position of each value in the file.

The json5 library returns values without positions and accepts a key that is given twice. So a text that it
has parsed is split into tokens once more: `_scan` walks over them with a stack of the containers that are
open, and so knows the path of each key and element when it comes to it. `_with_positions` joins both results.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import json5

MAX_DEPTH = 64

_TOKEN = re.compile(
    r"""(?P<skip>[\s\ufeff]+|//[^\n\r\u2028\u2029]*|/\*.*?\*/)
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<mark>[{}\[\],:])
      | (?P<word>(?:\\.|[^\s\ufeff{}\[\],:"'/\\])+)""",
    re.VERBOSE | re.DOTALL,
)
_JSON5_ERROR = re.compile(r"<string>:(\d+) (.*) at column (\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, both counted from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


_NOWHERE = Position(Path(), 1, 1)


class JsonObject(dict[str, Any]):
    """An object of the file; `positions` has the position of each key."""

    def __init__(self, values: dict[str, Any], positions: dict[str, Position]) -> None:
        super().__init__(values)
        self.positions = positions


class JsonArray(list[Any]):
    """A list of the file; `positions` has the position of each element."""

    def __init__(self, values: list[Any], positions: list[Position]) -> None:
        super().__init__(values)
        self.positions = positions


class TextError(Exception):
    """The text is not valid. `mistakes` are (position, sentence)."""

    def __init__(self, mistakes: list[tuple[Position, str]]) -> None:
        super().__init__(mistakes[0][1])
        self.mistakes = mistakes


def parse(text: str, file: Path) -> Any:
    """The value of a JSON5 document, with `JsonObject` and `JsonArray` for containers.

    Raises TextError. A key given twice in one object is a mistake, too.
    """
    lines = _Lines(text, file)
    value = _load(text, lines)
    positions, mistakes = _scan(text, lines)
    if mistakes:
        raise TextError(mistakes)
    return _with_positions(value, positions, (), lines.at(0))


def scalars(text: str) -> Iterator[tuple[_Path, int, int]]:
    """Path, start and end of each value that is no object or list, in a text that `parse` accepts."""
    stack: list[_Open] = []
    for token in _TOKEN.finditer(text):
        kind, written = token.lastgroup, token[0]
        if kind == "skip" or written == ":":
            continue
        top = stack[-1] if stack else None
        if kind == "mark":
            _step(stack, written, _NOWHERE)
        elif top and top.awaits_key:
            top.step = _key(written)
        else:
            yield (top.next_path if top else ()), *token.span()


def comments(text: str) -> Iterator[tuple[_Path, int, int]]:
    """Path of what is around it, start and end of each comment, in a text that `parse` accepts."""
    stack: list[_Open] = []
    for token in _TOKEN.finditer(text):
        kind, written = token.lastgroup, token[0]
        top = stack[-1] if stack else None
        if kind == "skip" and written.startswith("/"):
            yield (top.next_path if top else ()), *token.span()
        elif kind == "mark" and written != ":":
            _step(stack, written, _NOWHERE)
        elif kind not in ("skip", "mark") and top and top.awaits_key:
            top.step = _key(written)


def _load(text: str, lines: _Lines) -> Any:
    try:
        # Plain JSON is JSON5, and the C parser is a thousand times faster than the JSON5 one.
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        pass
    try:
        return json5.loads(text)
    except RecursionError as error:
        raise TextError([(lines.at(0), "nested too deeply")]) from error
    except ValueError as error:
        raise TextError([_syntax_error(str(error), lines)]) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _syntax_error(message: str, lines: _Lines) -> tuple[Position, str]:
    found = _JSON5_ERROR.fullmatch(message)
    if not found:
        return lines.at(0), "is not JSON5: " + " ".join(message.split())
    position = Position(lines.file, int(found[1]), int(found[3]))
    return position, f"is not JSON5: {' '.join(found[2].split())}"


@dataclass(slots=True)
class _Lines:
    """Offsets into the text as lines and columns, both counted from 1."""

    text: str
    file: Path
    starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.starts = [0, *(found.end() for found in re.finditer(r"\r\n|\n|\r", self.text))]

    def at(self, offset: int) -> Position:
        line = bisect.bisect_right(self.starts, offset)
        return Position(self.file, line, offset - self.starts[line - 1] + 1)


_Path = tuple[str | int, ...]


@dataclass(slots=True)
class _Open:
    """A container whose end has not been reached."""

    path: _Path
    is_object: bool
    step: str | int | None = None  # the key or index that the next value belongs to
    seen: set[str] = field(default_factory=set)

    @property
    def awaits_key(self) -> bool:
        return self.is_object and self.step is None

    @property
    def next_path(self) -> _Path:
        return self.path if self.step is None else (*self.path, self.step)


def _scan(text: str, lines: _Lines) -> tuple[dict[_Path, Position], list[tuple[Position, str]]]:
    """The position of each key and element of a text that has been parsed, and the keys given twice."""
    positions: dict[_Path, Position] = {}
    mistakes: list[tuple[Position, str]] = []
    stack: list[_Open] = []
    for token in _TOKEN.finditer(text):
        kind, written = token.lastgroup, token[0]
        if kind == "skip" or written == ":":
            continue
        top = stack[-1] if stack else None
        if top and top.awaits_key and kind in ("string", "word"):
            _add_key(top, written, lines.at(token.start()), positions, mistakes)
            continue
        if top and not top.is_object and written not in ("]", ","):
            positions.setdefault(top.next_path, lines.at(token.start()))
        _step(stack, written, lines.at(token.start()))
    return positions, mistakes


def _add_key(
    top: _Open,
    written: str,
    position: Position,
    positions: dict[_Path, Position],
    mistakes: list[tuple[Position, str]],
) -> None:
    key = _key(written)
    if key in top.seen:
        mistakes.append((position, f"the key {json.dumps(key)} is given twice in the same object"))
    top.seen.add(key)
    top.step = key
    positions[(*top.path, key)] = position


def _key(written: str) -> str:
    if "\\" in written:
        return str(next(iter(json5.loads("{" + written + ":0}"))))
    return written[1:-1] if written[0] in "\"'" else written


def _step(stack: list[_Open], written: str, position: Position) -> None:
    top = stack[-1] if stack else None
    if written in ("{", "["):
        if len(stack) >= MAX_DEPTH:
            raise TextError([(position, f"nested more than {MAX_DEPTH} deep")])
        stack.append(_Open(top.next_path if top else (), written == "{", None if written == "{" else 0))
    elif written in ("}", "]"):
        stack.pop()
    elif written == "," and top:
        top.step = top.step + 1 if isinstance(top.step, int) else None


def _with_positions(value: Any, positions: dict[_Path, Position], path: _Path, around: Position) -> Any:
    around = positions.get(path, around)
    if isinstance(value, dict):
        values = {key: _with_positions(item, positions, (*path, key), around) for key, item in value.items()}
        return JsonObject(values, {key: positions.get((*path, key), around) for key in value})
    if isinstance(value, list):
        items = [_with_positions(item, positions, (*path, index), around) for index, item in enumerate(value)]
        return JsonArray(items, [positions.get((*path, index), around) for index in range(len(value))])
    return value
