"""The schema and the settings name the same things, and every setting is read by somebody."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

from app.config.agent_settings import AgentSettings
from app.config.schema.root import RootSchema
from app.config.schema.walk import SchemaKey, matches, section_of, walk
from app.config.settings import GatewaySettings, ProviderSettings, Settings
from app.config.tool_settings import McpServerSettings

APP = Path(__file__).parents[3] / "app"
KEYS = [key for key in walk(RootSchema()) if key.settings and not section_of(key.field)]

# Attributes that no single key of the file sets: they are worked out when the settings are built, or fixed.
DERIVED = {
    (GatewaySettings, "host"),
    (GatewaySettings, "bound_host"),
    (AgentSettings, "fallbacks"),
    (ProviderSettings, "name"),
    (ProviderSettings, "default_model"),
    (ProviderSettings, "trusted_ca_files"),
    (McpServerSettings, "proxy"),
    (McpServerSettings, "trusted_ca_files"),
    *((Settings, name) for name in ("state_dir", "config_path", "providers", "notes", "sources", "limits")),
}
# Keys that become another attribute, or are only checked.
WITHOUT_ATTRIBUTE = {"env", "timeoutMs", "timeoutSeconds", "api", "type", "workingDirectory"}
# They are worked into `host`.
READ_BY_THE_BUILDER = {"bind", "customBindHost"}


def test_the_walk_goes_through_lists_and_names_that_the_operator_chooses():
    paths = [".".join(key.path) for key in walk(RootSchema())]
    assert paths[:2] == ["gateway", "gateway.mode"]
    for path in (
        "agents.defaults.model.primary",
        "agents.list.[].id",
        "models.providers.<name>.models.[].cost.input",
        "models.providers.<name>.scripts.<name>.[].toolCall.name",
        "session.queue.cap",
    ):
        assert path in paths
    assert len(paths) == len(set(paths))


def test_a_skipped_key_takes_those_below_it_along():
    paths = {key.path for key in walk(RootSchema(), lambda key: key.path == ("gateway", "http"))}
    assert ("gateway", "port") in paths
    assert not any(path[:2] == ("gateway", "http") for path in paths)


def test_a_pattern_matches_the_key_and_what_is_below_it():
    pattern = ("models", "providers", "<name>", "headers")
    assert matches(pattern, ("models", "providers", "corp", "headers", "x-key"))
    assert matches(("agents", "list", "[]", "id"), ("agents", "list", 0, "id"))
    assert not matches(pattern, ("models", "providers", "corp"))


def attributes(settings: type) -> set[str]:
    return {field.name for field in dataclasses.fields(settings)}


def test_each_key_has_an_attribute_in_the_settings():
    without = {key.path[-1] for key in KEYS if key.settings and key.name not in attributes(key.settings)}
    assert without == WITHOUT_ATTRIBUTE


def test_each_attribute_of_the_settings_has_a_key():
    known = {(key.settings, key.name) for key in walk(RootSchema())}
    classes = {key.settings for key in walk(RootSchema()) if key.settings}
    missing = {(one, name) for one in classes for name in attributes(one)} - known
    assert missing - DERIVED == set()


def read_attributes() -> set[str]:
    """The names of all attributes that the application reads outside of `app/config`."""
    return {
        node.attr
        for file in APP.rglob("*.py")
        if not file.is_relative_to(APP / "config")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    }


def test_every_setting_is_read_or_documented_as_not_used_yet():
    read = read_attributes()

    def is_read(key: SchemaKey) -> bool:
        return key.name in read or key.path[-1] in READ_BY_THE_BUILDER | WITHOUT_ATTRIBUTE

    unread = {key for key in KEYS if not is_read(key)}
    assert {key.name for key in unread if key.field.metadata.get("in_use")} == set()
    assert {key.name for key in unread} == {"responses_enabled"}
