"""The one walk over the schema: every key with its path, its field and its sentence of documentation.

The documentation, the JSON Schema, the search for unknown keys and the search for secrets use it. Only this
module knows what can contain further keys: sections (`section_of`), lists and objects whose keys the
operator chooses (`element`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from marshmallow import fields

from app.config.schema.fields import Setting
from app.config.schema.nesting import MappingField, Nested
from app.config.schema.section import Section

ANY_NAME = "<name>"  # stands in a path for a key that the operator chooses
ANY_INDEX = "[]"  # stands in a path for a position in a list

SchemaPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SchemaKey:
    """One key of one section. The last step of `path` is its spelling in the file, `name` its attribute in
    `settings`, the dataclass with the value; None if the value is in a plain dict.
    """

    path: SchemaPath
    name: str
    field: fields.Field[Any]
    section: Section
    settings: type | None

    @property
    def kind(self) -> str:
        """The type as the documentation writes it; empty for a section, which is described by its keys."""
        return self.field.kind if isinstance(self.field, Setting) else ""

    @property
    def doc(self) -> str:
        """The sentence of documentation; empty for a section."""
        return str(self.field.metadata["doc"]) if isinstance(self.field, Setting) else ""

    @property
    def is_marked_secret(self) -> bool:
        """Whether the field, or the field of its elements, is declared with `secret=True`."""
        inner = element(self.field)
        return any(field.metadata.get("secret") for field in (self.field, inner and inner[1]) if field)


def keys(section: Section, path: SchemaPath = (), settings: type | None = None) -> Iterator[SchemaKey]:
    """The keys of that section alone. `path` is where it stands; `settings`: see SchemaKey."""
    for name, field in section.fields.items():
        yield SchemaKey((*path, str(field.data_key)), name, field, section, settings)


def element(field: fields.Field[Any]) -> tuple[str, fields.Field[Any]] | None:
    """For a list or an object with free keys: the step that stands for any element, and its field."""
    if isinstance(field, MappingField):
        return ANY_NAME, field.each
    if isinstance(field, fields.List):
        return ANY_INDEX, field.inner
    return None


def section_of(field: fields.Field[Any]) -> Section | None:
    """The section whose keys the field's value has, None if it is no section."""
    inner = getattr(field, "schema", None)
    return inner if isinstance(inner, Section) else None


def walk(section: Section, skip: Callable[[SchemaKey], bool] = lambda _: False) -> Iterator[SchemaKey]:
    """Every key of the section and of all sections below it, depth first, in the schema's order.

    `skip` leaves out a key and everything below it.
    """
    return _walk(keys(section, (), section.settings_class()), skip)


def _walk(level: Iterator[SchemaKey], skip: Callable[[SchemaKey], bool]) -> Iterator[SchemaKey]:
    for key in level:
        if not skip(key):
            yield key
            yield from _walk(_below(key), skip)


def _below(key: SchemaKey) -> Iterator[SchemaKey]:
    """The keys of the section below the key, also through lists and objects with free keys."""
    field, path = key.field, key.path
    while inner := element(field):
        step, field = inner
        path = (*path, step)
    if section := section_of(field):
        is_group = isinstance(field, Nested) and field.group
        yield from keys(section, path, key.settings if is_group else section.settings_class())


def matches(pattern: SchemaPath, path: tuple[str | int, ...]) -> bool:
    """Whether a key path of a file is the one that the schema describes with `pattern`, or lies below it."""
    return len(pattern) <= len(path) and all(
        step == actual or step in (ANY_NAME, ANY_INDEX) for step, actual in zip(pattern, path, strict=False)
    )
