"""The mistakes in the operator's files, collected so that all of them can be reported at once."""

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
    """A `ConfigError` with the files that were looked for, so that the watch notices a correction."""

    def __init__(self, message: str, problems: tuple[str, ...], sources: tuple[Path, ...]) -> None:
        super().__init__(message, problems)
        self.sources = sources


@dataclass(frozen=True, slots=True)
class Problem:
    """`where` is a position in a file, or the name of something without lines, such as the environment."""

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
    """Collects mistakes. Never stores a value: it may be a secret.

    `tree` is where positions are looked up; `file` names a mistake that has none.
    """

    def __init__(self) -> None:
        self._found: list[Problem] = []
        self.tree: Any = None
        self.file = "environment"

    def add(self, path: KeyPath, what: str) -> None:
        """Add a mistake at a key of the merged file, unless one at the same key, above or below it is
        known: later ones usually follow from the first.
        """
        if any(_is_same_branch(problem.path, path) for problem in self._found if problem.path):
            return
        self._found.append(Problem(position_of(self.tree, path) or self.file, path, what))

    def add_at(self, where: Position | str, what: str) -> None:
        """Add a mistake that belongs to no key: a syntax error, an environment variable."""
        problem = Problem(where, (), what)
        if problem not in self._found:
            self._found.append(problem)

    def add_messages(self, messages: Mapping[Any, Any] | Iterable[Any], path: KeyPath = ()) -> None:
        """Add the messages of a marshmallow `ValidationError`, however deeply nested."""
        if isinstance(messages, Mapping):
            for key, value in messages.items():
                self.add_messages(value, path if key == "_schema" else (*path, key))
            return
        for message in messages:
            self.add(path, str(message))

    def raise_any(self, sources: Iterable[Path]) -> None:
        """Raise BrokenConfig if there are mistakes, in the order of their positions."""
        if not self._found:
            return
        lines = tuple(str(problem) for problem in sorted(self._found, key=lambda problem: problem.order))
        count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        message = "\n  ".join((f"{self.file}: {count} in the configuration", *lines))
        raise BrokenConfig(message, lines, tuple(sources))


def _printable(text: str) -> str:
    """The text as one line without control characters: names in a file may contain any character."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _is_same_branch(one: KeyPath, other: KeyPath) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def position_of(tree: Any, path: KeyPath) -> Position | None:
    """The position of that key, or of the nearest container around it; None if the tree has neither."""
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
    """A key as it is written in a path: quoted if it has unusual characters, at most 80 characters."""
    return key if _PLAIN_KEY.fullmatch(key) else json.dumps(key)[:80]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` if one of the known words is similar, else an empty string."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower()[:80], by_lower, n=1, cutoff=0.7)
    return f"; did you mean `{by_lower[near[0]]}`?" if near else ""
