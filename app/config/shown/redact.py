"""The effective configuration in the file's own form, fit to be shown: without a single secret."""

from __future__ import annotations

import re
from typing import Any

from app.config.schema.fields import REDACTED
from app.config.schema.root import RootSchema
from app.config.settings import Settings

_SHORTEST_SECRET = 6
_SECRET_PARAMETER = re.compile(r"([?&][^=&]*(?:pass|secret|token|key|auth)[^=&]*=)[^&#]*", re.IGNORECASE)
# As greedy as SQLAlchemy, which lets a password hold a slash and an at sign.
_USERINFO = re.compile(r"(?<=//).*@", re.DOTALL)


def redact(settings: Settings) -> dict[str, Any]:
    """What is in force, defaults included, as JSON that `openclaw.json` could hold. Never a secret.

    Secrets go by the mark in the schema; wherever else one of them occurs, it is blotted out too.
    """
    shown = RootSchema().dump(_Shown(settings))
    secrets = sorted(secrets_of(settings), key=len, reverse=True)
    redacted: dict[str, Any] = _blotted(_without_none(shown), secrets)
    return redacted


def redact_url(url: str) -> str:
    """A URL whose password and secret parameters cannot be read."""

    def userinfo(found: re.Match[str]) -> str:
        user, colon, _ = found[0].rpartition("@")[0].partition(":")
        return f"{user}:{REDACTED}@" if colon else f"{user}@"

    return _SECRET_PARAMETER.sub(rf"\1{REDACTED}", _USERINFO.sub(userinfo, url))


class _Shown:
    """`Settings` under the names that the schema's sections have."""

    def __init__(self, settings: Settings) -> None:
        self.gateway = settings.gateway
        self.agents = {"list": settings.agents}
        self.models = {"providers": {name: _provider(p) for name, p in settings.providers.items()}}
        self.session, self.logging, self.tools = settings.session, settings.logging, settings.tools
        self.storage_url = redact_url(settings.storage_url)
        self.redis_url = redact_url(settings.redis_url) if settings.redis_url else None


def _provider(provider: Any) -> dict[str, Any]:
    names = ("api", "base_url", "api_key", "headers", "timeouts", "models", "scripts")
    return {name: getattr(provider, name) or None for name in names}


def secrets_of(settings: Settings) -> set[str]:
    """The texts that must not be shown, but for those too short to be told from ordinary words."""
    auth, remote = settings.gateway.auth, settings.gateway.remote
    found = [auth.token, auth.password, remote.token, remote.password]
    for provider in settings.providers.values():
        found += [provider.api_key, *provider.headers.values()]
    for url in (settings.storage_url, settings.redis_url or ""):
        found += [userinfo[0][:-1].partition(":")[2] for userinfo in _USERINFO.finditer(url)]
    return {secret for secret in found if secret and len(secret) >= _SHORTEST_SECRET}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_none(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if item != {}}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def _blotted(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _blotted(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_blotted(item, secrets) for item in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, REDACTED)
    return value
