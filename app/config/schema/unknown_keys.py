"""Sorts the keys of a file before it is validated: used, known to OpenClaw only, or mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from marshmallow import fields

from app.config.schema.section import Section
from app.config.schema.walk import ANY_INDEX, ANY_NAME, element, keys, section_of
from app.config.source.json5_text import JsonArray, JsonObject
from app.config.source.problems import KeyPath, Problems, did_you_mean, write_key, write_path


@dataclass(slots=True)
class UnknownKeys:
    """Removes keys that are not used; `unused` collects the paths of those that OpenClaw knows.

    They are removed before variables are replaced: a variable that only they need may be unset.
    """

    problems: Problems
    unused: list[KeyPath] = field(default_factory=list)

    def remove(self, section: Section, tree: JsonObject, path: KeyPath = ()) -> JsonObject:
        """A copy of `tree` with the keys that `section` knows; the others become notes or problems."""
        known = {key.path[-1]: key for key in keys(section)}
        kept = JsonObject({}, {})
        for key, value in tree.items():
            name = section.spelling(key)
            if name in kept:
                self.problems.add((*path, key), f"is the same key as `{name}`, given twice")
            elif name in known:
                kept[name] = self._value(known[name].field, value, (*path, name))
                kept.positions[name] = tree.positions[key]
            elif key in section.unused:
                self.unused.append((*path, key))
            elif (path, key) != ((), "$schema"):
                self._unknown(section, key, path)
        return kept

    def _value(self, known: fields.Field[Any], value: Any, path: KeyPath) -> Any:
        if (section := section_of(known)) and isinstance(value, JsonObject):
            return self.remove(section, value, path)
        step, each = element(known) or ("", known)
        if step == ANY_INDEX and isinstance(value, JsonArray):
            items = [self._value(each, item, (*path, index)) for index, item in enumerate(value)]
            return JsonArray(items, value.positions)
        if step == ANY_NAME and isinstance(value, JsonObject):
            values = {key: self._value(each, item, (*path, key)) for key, item in value.items()}
            return JsonObject(values, value.positions)
        return value

    def _unknown(self, section: Section, key: str, path: KeyPath) -> None:
        known = [known.path[-1] for known in keys(section)]
        near = did_you_mean(key, known) or did_you_mean(key, section.unused)
        where = f"`{write_path(path)}`" if path else "the configuration"
        self.problems.add((*path, key), f"`{write_key(key)}` is not a key of {where}{near}")

    def notes(self) -> list[str]:
        """At most two lines for the log that name what is not used here."""
        sections = sorted(write_path(path) for path in self.unused if len(path) == 1)
        deeper = sorted(write_path(path) for path in self.unused if len(path) > 1)
        notes = [f"not used here, sections: {', '.join(sections)}"] if sections else []
        return notes + ([f"not used here, keys: {', '.join(deeper)}"] if deeper else [])
