"""The configuration's schema as JSON Schema, with hints for a form: what `config.schema` answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marshmallow import fields

from app.config.schema.agents import ModelChoice
from app.config.schema.fields import Duration, Flag, Number, OneOf, Setting, Texts, Whole
from app.config.schema.models import Step
from app.config.schema.nesting import Anything, Keyed
from app.config.schema.root import RootSchema
from app.config.schema.section import Section

DIALECT = "http://json-schema.org/draft-07/schema#"


def config_schema() -> dict[str, Any]:
    return {"$schema": DIALECT, "title": "OpenClawConfig", **_section(RootSchema())}


def ui_hints() -> dict[str, dict[str, Any]]:
    """Key path -> what a form shows beside it; `*` stands for names and places in lists."""
    return {path: hint for path, hint in _hints(RootSchema(), "") if hint}


def lookup(path: str) -> dict[str, Any] | None:
    """The part of the schema at a key path such as `agents.list[].model`; None if there is none."""
    steps = path.replace("[]", ".*").replace("[", ".").replace("]", "").strip(".").split(".")
    found: Any = config_schema()
    for step in [] if path.strip(".") in ("", "$") else steps:
        found = _below(found, step)
        if found is None:
            return None
    return dict(found)


def children(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The keys of a part of the schema; `*` for those that may have any name or place."""
    found = list(schema.get("properties", {}).items())
    for any_name in (schema.get("additionalProperties"), schema.get("items")):
        if isinstance(any_name, dict):
            found.append(("*", any_name))
    return found


def _below(schema: dict[str, Any], step: str) -> dict[str, Any] | None:
    for one in (schema, *schema.get("anyOf", ())):
        known = dict(children(one))
        if (found := known.get(step, known.get("*"))) is not None:
            return found
    return None


def _section(section: Section) -> dict[str, Any]:
    properties = {str(field.data_key): _field(field) for field in section.fields.values()}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required := [str(field.data_key) for field in section.fields.values() if field.required]:
        schema["required"] = required
    # Keys of OpenClaw that are not used here are accepted.
    schema["additionalProperties"] = bool(section.unused)
    return schema


def _field(field: fields.Field[Any]) -> dict[str, Any]:
    schema = _kind(field)
    if isinstance(field, Setting):
        schema["description"] = field.metadata["doc"]
    return schema


def _kind(field: fields.Field[Any]) -> dict[str, Any]:
    match field:
        case ModelChoice():
            return {"anyOf": [{"type": "string"}, _section(field.schema)]}
        case Step():
            return _section(field.schema)
        case Keyed():
            return {"type": "object", "additionalProperties": _field(field.each)}
        case fields.Nested(schema=Section() as inner):
            return _section(inner)
        case fields.List():
            return {"type": "array", "items": _field(field.inner)}
        case _:
            return _value(field)


def _value(field: fields.Field[Any]) -> dict[str, Any]:
    match field:
        case Flag():
            return {"type": "boolean"}
        case Number():
            bounds = {"minimum": field.low, "maximum": field.high}
            kept = {name: bound for name, bound in bounds.items() if bound is not None}
            return {"type": "integer" if isinstance(field, Whole) else "number", **kept}
        case Duration():
            return {"type": ["string", "number"]}
        case OneOf():
            return {"type": "string", "enum": [*field.words, *field.aliases]}
        case Texts():
            return {"type": "array", "items": {"type": "string"}}
        case Anything():
            return {"type": "object", "additionalProperties": True}
        case Setting(kind="text" | "path" | "secret text"):
            return {"type": "string"}
        case _:
            return {}


def _hints(section: Section, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for field in section.fields.values():
        path = f"{prefix}{field.data_key}"
        hint: dict[str, Any] = {}
        if isinstance(field, Setting):
            hint = {"label": field.data_key, "help": field.metadata["doc"]}
        if field.metadata.get("secret") or (isinstance(field, Keyed) and field.each.metadata.get("secret")):
            hint["sensitive"] = True
        yield path, hint
        inner, below = _inside(field, path)
        if inner is not None:
            yield from _hints(inner, below)


def _inside(field: fields.Field[Any], path: str) -> tuple[Section | None, str]:
    if isinstance(field, Keyed):
        return _inside(field.each, f"{path}.*")
    if isinstance(field, fields.List):
        return _inside(field.inner, f"{path}.*")
    inner = getattr(field, "schema", None)
    return (inner if isinstance(inner, Section) else None), f"{path}."
