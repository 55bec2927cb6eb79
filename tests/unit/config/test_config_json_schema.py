"""The configuration's JSON Schema, and which names are secrets'."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import json5
import pytest

from app.config.schema.root import RootSchema
from app.config.schema.walk import walk
from app.config.shown.json_schema import children, config_schema, lookup, ui_hints
from app.config.shown.secrets import is_secret, is_secret_name

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def test_every_secret_of_the_schema_is_known_by_its_name():
    names = {key.path[-1] for key in walk(RootSchema()) if key.is_marked_secret}
    assert {"token", "password", "apiKey", "headers"} <= names
    assert [name for name in names if not is_secret_name(name)] == []


def test_nothing_else_of_the_schema_is_taken_for_a_secret():
    keys = list(walk(RootSchema()))
    secret = {key.path for key in keys if is_secret(key.path)}
    assert secret - {key.path for key in keys if key.is_marked_secret} == {("env",)}


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        (("gateway", "auth", "token"), True),
        (("models", "providers", "corp", "headers", "x-key"), True),
        (("models", "providers", "corp", "baseUrl"), False),
        (("agents", "list", 0, "params", "maxTokens"), False),
        (("channels", "telegram", "botToken"), True),
        (("env", "vars", "NAME"), True),
    ],
)
def test_the_rule_holds_for_keys_that_the_schema_does_not_know_too(path: tuple[str | int, ...], secret: bool):
    assert is_secret(path) is secret


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, True) for name in ("botToken", "API_KEY", "client-secret", "appPassword", "privateKey")),
        *((name, False) for name in ("maxTokens", "mainKey", "sessionKey", "tokenizer", "requiredHeaders")),
    ],
)
def test_names(name: str, secret: bool):
    assert is_secret_name(name) is secret


def unknown(schema: dict, value: object, path: str = "") -> Iterator[str]:
    """The keys of a configuration that the schema does not describe."""
    if isinstance(value, dict):
        known = {}
        for one in (schema, *schema.get("anyOf", ())):
            known |= dict(children(one))
        for key, item in value.items():
            inner = known.get(key, known.get("*"))
            if inner is None and (known or schema.get("type") != "object"):
                yield f"{path}.{key}"
            elif inner is not None:
                yield from unknown(inner, item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from unknown(schema.get("items", {}), item, f"{path}[]")


def test_the_examples_are_described():
    schema = config_schema()
    example = json5.loads((EXAMPLES / "openclaw.json5").read_text("utf-8"))
    assert list(unknown(schema, example)) == []
    assert list(unknown(schema, {"gateway": {"nope": 1}})) == [".gateway.nope"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("gateway.port", {"type": "integer", "minimum": 1, "maximum": 65535}),
        ("gateway.auth.mode", {"type": "string"}),
        ("agents.list[0].id", {"type": "string"}),
        ("agents.list[].name", {"type": "string"}),
        ("agents.entries.main.timeoutSeconds", {"type": "number"}),
        ("agents.defaults.model.primary", {"type": "string"}),
        ("models.providers.corp.apiKey", {"type": "string"}),
        ("models.providers.*.models.*.contextWindow", {"type": "integer"}),
        ("session.maintenance.pruneAfter", {"type": ["string", "number"]}),
        ("gateway", {"type": "object"}),
        ("", {"type": "object", "title": "OpenClawConfig"}),
    ],
)
def test_lookup(path: str, expected: dict):
    found = lookup(path)
    assert found is not None
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("path", ["nope", "gateway.nope", "gateway.port.x", "gateway..port", "*"])
def test_lookup_of_what_is_not_there(path: str):
    assert lookup(path) is None


def test_hints_mark_what_is_sensitive():
    hints = ui_hints()
    assert hints["gateway.auth.token"]["sensitive"]
    assert hints["models.providers.*.headers"]["sensitive"]
    assert "sensitive" not in hints["gateway.port"]
    assert all(lookup(path) for path in hints)
