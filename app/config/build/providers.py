"""The providers of the settings: the catalogue, what the environment has keys for, the file's entries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from marshmallow import ValidationError

from app.config.apis import APIS
from app.config.build.catalogue import CATALOGUE, CatalogueEntry, ollama_from, with_version
from app.config.settings import ProviderSettings, ProviderTimeouts
from app.config.source.problems import Problems, did_you_mean

_VARIABLE_NAME = re.compile(r"[A-Z][A-Z0-9_]{2,}")


@dataclass(slots=True)
class ProviderBuilder:
    """`section` is the loaded `models`."""

    section: Mapping[str, Any]
    environ: Mapping[str, str]
    problems: Problems

    def build(self) -> dict[str, ProviderSettings]:
        """In the catalogue's order, then the file's. `ollama` is left for an agent to ask for."""
        configured = self.section.get("providers", {})
        merging = self.section.get("mode", "merge") == "merge"
        built: dict[str, ProviderSettings] = {}
        for entry in CATALOGUE.values():
            base = self._from_catalogue(entry)
            if entry.name in configured:
                built[entry.name] = self._configured(
                    base if merging or entry.is_bundled else None, entry.name
                )
            elif entry.is_bundled or (merging and self._is_available(entry)):
                built[entry.name] = base
        for name in configured:
            if name not in built:
                built[name] = self._configured(None, name)
        return built

    def for_model(self, model: str, built: dict[str, ProviderSettings]) -> str | None:
        """What is wrong with naming that model, None if nothing. May add `ollama` to what is built."""
        name = model.partition("/")[0]
        entry = CATALOGUE.get(name)
        if name not in built and entry and self.section.get("mode", "merge") == "merge":
            if entry.variable is None:
                built[name] = self._from_catalogue(entry)
            else:
                return f"needs a key for `{name}`: set {entry.variable} in the environment"
        if name not in built:
            known = sorted({*built, *CATALOGUE})
            near = did_you_mean(name, known)
            return f"names a provider that is not known (known: {', '.join(known)}){near}"
        if entry and entry.variable and self._lacks_key(built[name], entry):
            return f"needs a key for `{name}`: set {entry.variable}, or models.providers.{name}.apiKey"
        return None

    def _lacks_key(self, provider: ProviderSettings, entry: CatalogueEntry) -> bool:
        return not provider.api_key and not provider.headers and provider.base_url == entry.base_url

    def _is_available(self, entry: CatalogueEntry) -> bool:
        return bool(self.environ.get(entry.variable or "OLLAMA_HOST"))

    def _from_catalogue(self, entry: CatalogueEntry) -> ProviderSettings:
        base_url = entry.base_url
        if entry.name == "ollama":
            try:
                base_url = ollama_from(self.environ) or base_url
            except ValidationError as error:
                self.problems.add_at("environment", f"OLLAMA_HOST: {error.messages[0]}")
        return ProviderSettings(
            name=entry.name,
            api=entry.api,
            base_url=base_url,
            api_key=self.environ.get(entry.variable) or None if entry.variable else None,
            default_model=entry.default_model,
        )

    def _configured(self, base: ProviderSettings | None, name: str) -> ProviderSettings:
        given = self.section["providers"][name]
        provider = base or ProviderSettings(name=name)
        api = given.get("api", provider.api)
        base_url = given.get("base_url", provider.base_url)
        if APIS[api].needs_base_url and not base_url:
            self.problems.add(
                ("models", "providers", name),
                '`baseUrl` is missing: the address of the provider, such as "https://api.example.com/v1"',
            )
        return replace(
            provider,
            api=api,
            base_url=with_version(base_url) if base_url else "",
            api_key=self._key(given.get("api_key", "")) or provider.api_key,
            headers=given.get("headers", {}),
            timeouts=_timeouts(given),
            models=tuple(given.get("models", ())),
            scripts=given.get("scripts", {}),
        )

    def _key(self, written: str) -> str:
        """OpenClaw lets `apiKey` be the bare name of the variable that holds the key."""
        if _VARIABLE_NAME.fullmatch(written):
            return self.environ.get(written) or written
        return written


def _timeouts(given: Mapping[str, Any]) -> ProviderTimeouts:
    timeouts: ProviderTimeouts = given.get("timeouts", ProviderTimeouts())
    total = given["timeout_ms"] / 1000 if "timeout_ms" in given else given.get("timeout_seconds")
    return timeouts if timeouts.total is not None or total is None else replace(timeouts, total=float(total))
