"""Replaces `${NAME}` in the strings of the tree by environment variables."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.config.source.json5_text import JsonArray, JsonObject
from app.config.source.problems import KeyPath, Problems

# Upper-case names only, as in OpenClaw: a system prompt may contain `${name}`.
_VARIABLE = re.compile(r"\$(\$?)\{([A-Z_][A-Z0-9_]*)\}")
_REFERENCE_SOURCES = ("env", "file", "exec", "store")


@dataclass(frozen=True, slots=True)
class Substitution:
    """Replaces variables in a tree, and refuses values that no setting can have: lone surrogates, NaN.

    `is_secret` says at which keys the hint about a variable that is not set proposes no literal text.
    """

    environ: Mapping[str, str]
    problems: Problems
    is_secret: Callable[[KeyPath], bool] = lambda _: True

    def apply(self, value: Any, path: KeyPath = ()) -> Any:
        """A copy of the tree at `path` with its variables replaced; mistakes are added to `problems`."""
        if isinstance(value, JsonObject) and value.get("source") in _REFERENCE_SOURCES and "id" in value:
            return self._reference(value, path)
        if isinstance(value, JsonObject):
            values = {key: self.apply(item, (*path, self._key(key, path))) for key, item in value.items()}
            return JsonObject(values, value.positions)
        if isinstance(value, JsonArray):
            items = [self.apply(item, (*path, index)) for index, item in enumerate(value)]
            return JsonArray(items, value.positions)
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.add(path, "must be an ordinary number")
        return value

    def _key(self, key: str, path: KeyPath) -> str:
        if not _is_encodable(key):
            self.problems.add(path, "has a key that is not valid text")
        return key

    def _text(self, value: str, path: KeyPath) -> str:
        if not _is_encodable(value):
            self.problems.add(path, "is not valid text: it has half of a surrogate pair")
            return ""
        unset: list[str] = []

        def replace(found: re.Match[str]) -> str:
            if found[1]:
                return found[0][1:]
            if not self.environ.get(found[2]):
                unset.append(found[2])
            return self.environ.get(found[2], "")

        replaced = _VARIABLE.sub(replace, value)
        for name in dict.fromkeys(unset):
            self.problems.add(path, self._unset(name, path))
        return replaced

    def _reference(self, value: JsonObject, path: KeyPath) -> str:
        """The value of OpenClaw's `{source: "env", provider, id}`, accepted in place of any string."""
        name = value["id"]
        if value["source"] != "env" or not isinstance(name, str):
            self.problems.add(path, 'only references to the environment are supported; write "${NAME}"')
        elif not self.environ.get(name):
            self.problems.add(path, self._unset(name, path))
        else:
            return self.environ[name]
        return ""

    def _unset(self, name: str, path: KeyPath) -> str:
        # The literal text would be a secret that everybody knows.
        literal = "" if self.is_secret(path) else f", or write `$${{{name}}}` for the literal text"
        return f"the environment variable {name} is not set; set it{literal}"


def references(text: str) -> list[str]:
    """The names of the variables that a text of the file reads."""
    return [found[2] for found in _VARIABLE.finditer(text) if not found[1]]


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
