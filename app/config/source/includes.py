"""Reads the configuration file and resolves its `$include`s: one tree out of several files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.config.source.json5_text import JsonArray, JsonObject, Position
from app.config.source.parsed_file import ParsedFile
from app.config.source.problems import Problems

INCLUDE = "$include"
MAX_INCLUDE_DEPTH = 10
MAX_FILE_BYTES = 2 * 1024 * 1024


@dataclass(slots=True)
class TreeReader:
    """Reads one configuration. `files` are those that were looked for, also the missing ones.

    A file that was parsed before is handed in as `parsed`, and neither read nor parsed again.
    """

    problems: Problems
    parsed: ParsedFile | None = None
    files: list[Path] = field(default_factory=list)

    def read(self, file: Path) -> JsonObject:
        """The merged tree of a file; mistakes are added to `problems` and left out of the tree."""
        tree = self._read(file, (file,), None)
        if not isinstance(tree, JsonObject):
            if tree is not None:
                self.problems.add_at(Position(file, 1, 1), "must be an object: { ... }")
            tree = JsonObject({}, {})
        return tree

    def _read(self, file: Path, chain: tuple[Path, ...], asked_at: Position | None) -> Any:
        self.files.append(file)
        try:
            parsed = self._parsed(file)
        except (OSError, ValueError) as error:
            why = (error.strerror or "unreadable") if isinstance(error, OSError) else str(error)
            self.problems.add_at(asked_at or str(file), f"cannot read {file}: {why}")
            return None
        for position, sentence in parsed.mistakes:
            self.problems.add_at(position, sentence)
        if parsed.tree is None and not parsed.mistakes:
            self.problems.add_at(Position(file, 1, 1), "contains only `null`")
        return self._resolve(parsed.tree, file, chain)

    def _parsed(self, file: Path) -> ParsedFile:
        if self.parsed and self.parsed.file == file:
            return self.parsed
        return ParsedFile.parse(_text(file), file)

    def _resolve(self, value: Any, file: Path, chain: tuple[Path, ...]) -> Any:
        if isinstance(value, JsonArray):
            return JsonArray([self._resolve(item, file, chain) for item in value], value.positions)
        if not isinstance(value, JsonObject):
            return value
        own = {key: self._resolve(item, file, chain) for key, item in value.items() if key != INCLUDE}
        rest = JsonObject(own, {key: value.positions[key] for key in own})
        if INCLUDE not in value:
            return rest
        included = self._include(value[INCLUDE], value.positions[INCLUDE], file, chain)
        if included is None or not rest:
            return rest if included is None else included
        if not isinstance(included, JsonObject):
            self._wrong(value.positions[INCLUDE], "has keys beside it, so the file must contain an object")
            return rest
        return merge(included, rest)

    def _include(self, wanted: Any, position: Position, file: Path, chain: tuple[Path, ...]) -> Any:
        names = wanted if isinstance(wanted, list) else [wanted]
        if not names or not all(isinstance(name, str) and name for name in names):
            return self._wrong(position, "must be the name of a file or a list of names")
        merged: Any = None
        for name in names:
            included = self._include_one(name, position, file, chain)
            if included is not None:
                merged = included if merged is None else merge(merged, included)
        return merged

    def _include_one(self, name: str, position: Position, file: Path, chain: tuple[Path, ...]) -> Any:
        target = file.parent / name
        try:
            real, base = target.resolve(), file.parent.resolve()
        except (OSError, ValueError, RuntimeError):
            return self._wrong(position, "is not the name of a file")
        if not Path(name).is_absolute() and not real.is_relative_to(base):
            return self._wrong(
                position, f"is outside of {file.parent}; name a file below it, or give the absolute path"
            )
        if real in [link.resolve() for link in chain]:
            circle = " -> ".join(link.name for link in (*chain, target))
            return self._wrong(position, f"files include each other in a circle: {circle}")
        if len(chain) > MAX_INCLUDE_DEPTH:
            return self._wrong(position, f"files include each other more than {MAX_INCLUDE_DEPTH} deep")
        return self._read(target, (*chain, target), position)

    def _wrong(self, position: Position, what: str) -> None:
        self.problems.add_at(position, f"{INCLUDE}: {what}")


def _text(file: Path) -> str:
    if file.exists() and not file.is_file():
        raise ValueError("it is not a regular file")
    if file.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB")
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error


def merge(base: Any, over: Any) -> Any:
    """Objects merge key by key, lists are joined, of other values `over` is used; as in OpenClaw."""
    if isinstance(base, JsonObject) and isinstance(over, JsonObject):
        values = {**base, **{key: merge(base[key], over[key]) if key in base else over[key] for key in over}}
        return JsonObject(values, {**base.positions, **over.positions})
    if isinstance(base, JsonArray) and isinstance(over, JsonArray):
        return JsonArray([*base, *over], [*base.positions, *over.positions])
    return over
