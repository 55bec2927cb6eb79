"""The configuration's schema as JSON Schema, with hints for a form: the result of `config.schema`."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from app.config.schema.agents import ModelChoice
from app.config.schema.fields import Boolean, Duration, Enum, Integer, Number, Setting, StringList
from app.config.schema.nesting import AnyObject
from app.config.schema.root import RootSchema
from app.config.schema.section import Section
from app.config.schema.walk import ANY_INDEX, ANY_NAME, element, keys, section_of, walk
from app.config.shown.secrets import is_secret

DIALECT = "http://json-schema.org/draft-07/schema#"


def config_schema() -> dict[str, Any]:
    """The whole configuration as JSON Schema, draft 7."""
    return {"$schema": DIALECT, "title": "OpenClawConfig", **_section(RootSchema())}


def ui_hints() -> dict[str, dict[str, Any]]:
    """Key path -> what a form shows beside the key; `*` stands for names and positions in lists."""
    hints: dict[str, dict[str, Any]] = {}
    for key in walk(RootSchema()):
        hint: dict[str, Any] = {"label": key.path[-1], "help": key.doc} if key.doc else {}
        if is_secret(key.path):
            hint["sensitive"] = True
        if hint:
            hints[".".join("*" if step in (ANY_NAME, ANY_INDEX) else step for step in key.path)] = hint
    return hints


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
    known = list(keys(section))
    properties = {key.path[-1]: _field(key.field) for key in known}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required := [key.path[-1] for key in known if key.field.required]:
        schema["required"] = required
    # Keys of OpenClaw that are not used here are accepted.
    schema["additionalProperties"] = bool(section.unused)
    return schema


def _field(field: fields.Field[Any]) -> dict[str, Any]:
    schema = _type(field)
    if isinstance(field, Setting):
        schema["description"] = field.metadata["doc"]
    return schema


def _type(field: fields.Field[Any]) -> dict[str, Any]:
    if section := section_of(field):
        described = _section(section)
        return {"anyOf": [{"type": "string"}, described]} if isinstance(field, ModelChoice) else described
    step, each = element(field) or ("", field)
    if step == ANY_NAME:
        return {"type": "object", "additionalProperties": _field(each)}
    if step == ANY_INDEX:
        return {"type": "array", "items": _field(each)}
    return _value(field)


def _value(field: fields.Field[Any]) -> dict[str, Any]:
    match field:
        case Boolean():
            return {"type": "boolean"}
        case Number():
            bounds = {"minimum": field.low, "maximum": field.high}
            kept = {name: bound for name, bound in bounds.items() if bound is not None}
            return {"type": "integer" if isinstance(field, Integer) else "number", **kept}
        case Duration():
            return {"type": ["string", "number"]}
        case Enum():
            return {"type": "string", "enum": [*field.words, *field.aliases]}
        case StringList():
            return {"type": "array", "items": {"type": "string"}}
        case AnyObject():
            return {"type": "object", "additionalProperties": True}
        case Setting(kind="string" | "path" | "secret string"):
            return {"type": "string"}
        case _:
            return {}
