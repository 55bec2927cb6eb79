"""Endpoints that are off until a setting of the configuration switches them on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Blueprint, Flask

from app.config.settings import GatewaySettings


class Switch(NamedTuple):
    """The setting's name in the configuration, the variable for where it is not set, and how to read it."""

    setting: str
    variable: str
    is_on: Callable[[GatewaySettings], bool]


CHAT_COMPLETIONS = Switch(
    "gateway.http.endpoints.chatCompletions.enabled",
    "OPENCLAW_CHAT_COMPLETIONS",
    lambda settings: settings.chat_completions.enabled,
)


class SwitchedBlueprint(Blueprint):
    """While its switch is off, its paths answer 404 `endpoint_disabled`, whatever the method."""

    def __init__(self, name: str, import_name: str, switch: Switch) -> None:
        super().__init__(name, import_name)
        self.switch = switch


def switches_of(app: Flask) -> Mapping[str, Switch]:
    """The switch of each Flask endpoint that has one."""
    found: dict[str, Switch] = {}
    for rule in app.url_map.iter_rules():
        endpoint: Any = rule.endpoint
        blueprint = app.blueprints.get(endpoint.rpartition(".")[0])
        if isinstance(blueprint, SwitchedBlueprint):
            found[endpoint] = blueprint.switch
    return found
