"""The first look at the tree: which keys are used, which belong to OpenClaw alone, which are mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from marshmallow import fields

from app.config.schema.nesting import Keyed
from app.config.schema.section import Section
from app.config.source.json5_text import Array, Table
from app.config.source.problems import KeyPath, Problems, did_you_mean, write_key, write_path


@dataclass(slots=True)
class Survey:
    """Gives back the tree without the keys that are not used; `unused` has their paths.

    They are set aside before variables are replaced: a variable only they need may be unset.
    """

    problems: Problems
    unused: list[KeyPath] = field(default_factory=list)

    def section(self, schema: Section, table: Table, path: KeyPath = ()) -> Table:
        by_key = {str(known.data_key): known for known in schema.fields.values()}
        kept = Table({}, {})
        for key, value in table.items():
            name = schema.spelling(key)
            if name in kept:
                self.problems.add((*path, key), f"is the same key as `{name}`, given twice")
            elif name in by_key:
                kept[name] = self._value(by_key[name], value, (*path, name))
                kept.places[name] = table.places[key]
            elif key in schema.unused:
                self.unused.append((*path, key))
            elif (path, key) != ((), "$schema"):
                self._unknown(schema, key, path)
        return kept

    def _value(self, known: fields.Field[Any], value: Any, path: KeyPath) -> Any:
        inner = getattr(known, "schema", None)
        if isinstance(inner, Section) and isinstance(value, Table):
            return self.section(inner, value, path)
        if isinstance(known, Keyed) and isinstance(value, Table):
            values = {key: self._value(known.each, item, (*path, key)) for key, item in value.items()}
            return Table(values, value.places)
        if isinstance(known, fields.List) and isinstance(value, Array):
            items = [self._value(known.inner, item, (*path, index)) for index, item in enumerate(value)]
            return Array(items, value.places)
        return value

    def _unknown(self, schema: Section, key: str, path: KeyPath) -> None:
        known = [str(field.data_key) for field in schema.fields.values()]
        near = did_you_mean(key, known) or did_you_mean(key, schema.unused)
        where = f"`{write_path(path)}`" if path else "the configuration"
        self.problems.add((*path, key), f"`{write_key(key)}` is not a key of {where}{near}")

    def notes(self) -> list[str]:
        """At most two lines that name what is not used here."""
        sections = sorted(write_path(path) for path in self.unused if len(path) == 1)
        keys = sorted(write_path(path) for path in self.unused if len(path) > 1)
        notes = [f"not used here, sections: {', '.join(sections)}"] if sections else []
        return notes + ([f"not used here, keys: {', '.join(keys)}"] if keys else [])
