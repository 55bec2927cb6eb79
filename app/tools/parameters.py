"""The parameters of built-in tools: a msgspec struct makes both the JSON schema and the check.

Models write `"5"` for 5 and 5 for `"5"`; what can be read without doubt is read (`load_parameters`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import orjson

from app.json_values import load_json


class Parameters(msgspec.Struct, rename="camel", kw_only=True):
    """The base class of all parameters. Names are camelCase for models; unknown keys are ignored."""


P = TypeVar("P", bound=Parameters)


class InvalidArguments(Exception):
    """The arguments do not fit. The message says which one, and what it should be."""


def parse_arguments(text: str) -> dict[str, Any]:
    """The arguments of a call as the model wrote them. Raises InvalidArguments: not a JSON object."""
    if not text.strip():
        return {}
    try:
        value = load_json(text)
        if isinstance(value, str):  # encoded twice
            value = load_json(value)
    except ValueError as error:
        raise InvalidArguments(f"the arguments are not valid JSON ({error})") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArguments("the arguments must be a JSON object")
    return value


def load_parameters(kind: type[P], arguments: dict[str, Any]) -> P:
    """The arguments as `kind`. Raises InvalidArguments."""
    schema = schema_of(kind)
    tidy = {
        name: _coerced(value, schema["properties"].get(name, {}))
        for name, value in arguments.items()
        if value is not None or name not in schema["properties"]
    }
    try:
        return msgspec.convert(tidy, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidArguments(str(error).replace("`$.", "`").replace("Object missing", "missing")) from None


@lru_cache(maxsize=128)
def schema_of(kind: type[Parameters]) -> dict[str, Any]:
    """The JSON schema of `kind`, without what models need not read (titles, null as a default)."""
    (root,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    tidy: dict[str, Any] = _tidy(root, definitions)
    return tidy


def _tidy(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_tidy(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if reference := schema.get("$ref"):
        return _tidy(definitions[reference.rpartition("/")[2]], definitions)
    if alternatives := schema.get("anyOf"):
        others = [one for one in alternatives if one != {"type": "null"}]
        if len(others) == 1:
            around = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
            return {**_tidy(others[0], definitions), **_tidy(around, definitions)}
    if "properties" in schema:
        schema = {**schema, "properties": dict(schema["properties"])}
        for name, one in schema["properties"].items():
            schema["properties"][name] = _tidy(one, definitions)
        rest = {key: value for key, value in schema.items() if key not in ("title", "description")}
        return {key: value for key, value in rest.items() if value != []}
    return {
        key: _tidy(value, definitions)
        for key, value in schema.items()
        if key != "title" and not (key == "default" and value is None)
    }


def _coerced(value: Any, schema: dict[str, Any]) -> Any:
    """The value as the type that the schema names, where that is beyond doubt."""
    kind = schema.get("type")
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if kind in ("integer", "number") and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind in ("array", "object") and isinstance(value, str):
        try:
            decoded = orjson.loads(value)
        except orjson.JSONDecodeError:
            decoded = value
        if isinstance(decoded, dict if kind == "object" else list):
            return decoded
    if kind == "array" and not isinstance(value, list):
        return [value]
    return value
