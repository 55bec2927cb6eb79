"""The configuration in force in the file's own form, without a single secret."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from app.config.schema.models import ProviderSchema
from app.config.schema.root import RootSchema
from app.config.settings import ProviderSettings, Settings
from app.config.shown.secrets import redact_tree, secret_values


def redact(settings: Settings) -> dict[str, Any]:
    """What is in force, defaults included, as JSON that `openclaw.json` could hold, secrets replaced."""
    tree = _tree(settings)
    redacted: dict[str, Any] = redact_tree(tree, set(secret_values(tree)))
    return redacted


def secrets_of(settings: Settings) -> set[str]:
    """The secrets in force; those too short to be told from ordinary words are left out."""
    return set(secret_values(_tree(settings)))


class SecretsOf:
    """`secrets_of`, worked out once for each settings: it takes milliseconds."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._secrets: set[str] = set()

    def __call__(self, settings: Settings) -> set[str]:
        if settings is not self._settings:
            self._secrets, self._settings = secrets_of(settings), settings
        return self._secrets


def _tree(settings: Settings) -> dict[str, Any]:
    """The settings under the file's names and in its units, secrets included."""
    held = {field.name: getattr(settings, field.name) for field in fields(settings)}
    held["agents"] = {"list": settings.agents}
    held["models"] = {"providers": {name: _provider(one) for name, one in settings.providers.items()}}
    tree: dict[str, Any] = _without_none(RootSchema().dump(held))
    return tree


def _provider(provider: ProviderSettings) -> dict[str, Any]:
    return {name: getattr(provider, name, None) or None for name in ProviderSchema().fields}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_none(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if item != {}}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value
