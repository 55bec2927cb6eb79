"""What is wrong with the operator's files, collected so that all of it can be told at once."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config.source.json5_text import JsonArray, JsonObject, Position
from app.errors import ConfigError

KeyPath = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_$-]{1,80}")


class BrokenConfig(ConfigError):
    """A `ConfigError` that remembers which files were looked at, so that a watch sees them mended."""

    def __init__(self, message: str, problems: tuple[str, ...], sources: tuple[Path, ...]) -> None:
        super().__init__(message, problems)
        self.sources = sources


@dataclass(frozen=True, slots=True)
class Problem:
    """`where` is a position in a file, or the name of what has no lines."""

    where: Position | str
    path: KeyPath
    what: str

    def __str__(self) -> str:
        key = f"{write_path(self.path)}: " if self.path else ""
        return _printable(f"{self.where}: {key}{self.what}")

    @property
    def order(self) -> tuple[str, int, int]:
        where = self.where
        return (where, 0, 0) if isinstance(where, str) else (str(where.file), where.line, where.column)


class Problems:
    """Collects mistakes. Never keeps a value: a value may be a secret."""

    def __init__(self) -> None:
        self._found: list[Problem] = []
        self.tree: Any = None
        self.file = "environment"

    def add(self, path: KeyPath, what: str) -> None:
        """A mistake at a key of the merged file; the first one hides those around it that follow from it."""
        if any(_is_around(problem.path, path) for problem in self._found if problem.path):
            return
        self._found.append(Problem(position_of(self.tree, path) or self.file, path, what))

    def add_at(self, where: Position | str, what: str) -> None:
        """A mistake that no key stands for: a syntax error, an environment variable."""
        problem = Problem(where, (), what)
        if problem not in self._found:
            self._found.append(problem)

    def add_messages(self, messages: Mapping[Any, Any] | Iterable[Any], path: KeyPath = ()) -> None:
        """The messages of a marshmallow `ValidationError`, however deeply nested."""
        if isinstance(messages, Mapping):
            for key, value in messages.items():
                self.add_messages(value, path if key == "_schema" else (*path, key))
            return
        for message in messages:
            self.add(path, str(message))

    def raise_any(self, sources: Iterable[Path]) -> None:
        if not self._found:
            return
        lines = tuple(str(problem) for problem in sorted(self._found, key=lambda problem: problem.order))
        count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        message = "\n  ".join((f"{self.file}: {count} in the configuration", *lines))
        raise BrokenConfig(message, lines, tuple(sources))


def _printable(text: str) -> str:
    """One line that no terminal acts upon: names in a file may hold anything."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _is_around(one: KeyPath, other: KeyPath) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def position_of(tree: Any, path: KeyPath) -> Position | None:
    """Where that key was written, or where the nearest container around it was."""
    position: Position | None = None
    for step in path:
        if isinstance(tree, JsonObject) and isinstance(step, str) and step in tree:
            position = tree.positions.get(step, position)
            tree = tree[step]
        elif isinstance(tree, JsonArray) and isinstance(step, int) and step < len(tree):
            position = tree.positions[step]
            tree = tree[step]
        else:
            break
    return position


def write_path(path: KeyPath) -> str:
    """`("agents", "list", 0, "id")` as `agents.list[0].id`."""
    written = ""
    for step in path:
        if isinstance(step, int):
            written += f"[{step}]"
        else:
            written += ("." if written else "") + write_key(step)
    return written


def write_key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else json.dumps(key)[:80]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` when something known is near, else nothing."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower()[:80], by_lower, n=1, cutoff=0.7)
    return f"; did you mean `{by_lower[near[0]]}`?" if near else ""
