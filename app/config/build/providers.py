"""Builds the providers of the settings: from the catalogue, the environment's keys and the file's entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from app.config.apis import APIS
from app.config.build.base_urls import base_url_from, with_version
from app.config.build.catalogue import CATALOGUE, CatalogueEntry
from app.config.build.certificates import ca_files_from, problem_with
from app.config.build.gateway import from_environ
from app.config.build.proxies import DIRECT, proxy_for
from app.config.schema import checks
from app.config.settings import ModelSettings, ProviderSettings, ProviderTimeouts
from app.config.source.problems import Problems, did_you_mean
from app.model_name import ModelName

_VARIABLE_NAME = re.compile(r"[A-Z][A-Z0-9_]{2,}")

# What the gateway says itself about each request and its connection (RFC 9110, sections 7.2, 7.6.1 and 8.6).
_OWN_HEADERS = frozenset(
    (
        *("host", "content-length", "transfer-encoding", "trailer", "te", "expect", "accept-encoding"),
        *("connection", "proxy-connection", "keep-alive", "upgrade", "proxy-authorization"),
        *("proxy-authenticate", "x-request-id"),
    )
)


@dataclass(slots=True)
class ProviderBuilder:
    """`section` is the loaded `models`; `expand` makes a path absolute. `notes` are lines for the log."""

    section: Mapping[str, Any]
    environ: Mapping[str, str]
    problems: Problems
    expand: Callable[[str], Path]
    notes: list[str] = field(default_factory=list)
    ca_files: tuple[Path, ...] = ()

    def build(self) -> dict[str, ProviderSettings]:
        """The providers by name, in the catalogue's order, then the file's. `for_model` may add `ollama`."""
        self.ca_files, notes = ca_files_from(self.environ)
        self.notes += notes
        configured = self.section.get("providers", {})
        merging = self.section.get("mode", "merge") == "merge"
        built: dict[str, ProviderSettings] = {}
        for entry in CATALOGUE.values():
            if entry.name in configured:
                base = self._from_catalogue(entry) if merging or entry.is_bundled else None
                built[entry.name] = self._configured(base, entry.name)
            elif entry.is_bundled or (merging and self._is_available(entry)):
                built[entry.name] = self._with_route(self._from_catalogue(entry))
        for name in configured:
            if name not in built:
                built[name] = self._configured(None, name)
        return built

    def for_model(self, model: str, built: dict[str, ProviderSettings]) -> str | None:
        """Why that model cannot be used, None if it can. Adds `ollama` to `built` if the model needs it."""
        name = ModelName.parse(model).provider
        entry = CATALOGUE.get(name)
        if name not in built and entry and self.section.get("mode", "merge") == "merge":
            known = self._from_catalogue(entry)
            if entry.variable is None or known.base_url != entry.base_url:
                built[name] = self._with_route(known)
            else:
                return f"needs a key for `{name}`: set {entry.variable} in the environment"
        if name not in built:
            names = sorted({*built, *CATALOGUE})
            near = did_you_mean(name, names)
            return f"names a provider that is not known (known: {', '.join(names)}){near}"
        if entry and entry.variable and self._lacks_key(built[name], entry):
            return f"needs a key for `{name}`: set {entry.variable}, or models.providers.{name}.apiKey"
        return None

    def _lacks_key(self, provider: ProviderSettings, entry: CatalogueEntry) -> bool:
        return not provider.api_key and not provider.headers and provider.base_url == entry.base_url

    def _is_available(self, entry: CatalogueEntry) -> bool:
        variables = (entry.variable,) if entry.variable else entry.base_variables
        return any(self.environ.get(name, "").strip() for name in variables)

    def _from_catalogue(self, entry: CatalogueEntry) -> ProviderSettings:
        return ProviderSettings(
            name=entry.name,
            api=entry.api,
            base_url=self._base_url(entry),
            api_key=self._from_environ(entry.variable) if entry.variable else None,
            default_model=entry.default_model,
        )

    def _base_url(self, entry: CatalogueEntry) -> str:
        try:
            return base_url_from(self.environ, entry) or entry.base_url
        except ValidationError as error:
            self.problems.add_at("environment", str(error.messages[0]))
            return entry.base_url

    def _configured(self, base: ProviderSettings | None, name: str) -> ProviderSettings:
        """The file's entry merged over `base`, the catalogue's provider of the same name if there is one."""
        given = dict(self.section["providers"][name])
        given["timeouts"] = _timeouts(given)
        if key := given.pop("api_key", None):
            given["api_key"] = self._key(key)
        if ca_file := given.get("ca_file"):
            given["ca_file"] = self.expand(ca_file)
        if headers := given.get("headers"):
            given["headers"] = self._without_own(headers, name)
        if url := given.get("base_url"):
            given["base_url"] = with_version(url)
        if name in CATALOGUE and "models" in given:
            prefix = CATALOGUE[name].model_prefix
            given["models"] = tuple(_without_prefix(model, prefix) for model in given["models"])
        provider = replace(base or ProviderSettings(name=name), **given)
        if APIS[provider.api].needs_base_url and not provider.base_url:
            self.problems.add(
                ("models", "providers", name),
                '`baseUrl` is missing: the address of the provider, such as "https://api.example.com/v1"',
            )
        if (ca_file := given.get("ca_file")) and (why := problem_with(ca_file)):
            self.problems.add(("models", "providers", name, "tls", "caFile"), why)
        return self._with_route(provider)

    def _with_route(self, provider: ProviderSettings) -> ProviderSettings:
        """The provider with the proxy and the certificate authorities of the environment."""
        if not APIS[provider.api].needs_base_url:
            return replace(provider, proxy=None)  # it is a part of the gateway, or a process of its own
        proxy = None if provider.proxy == DIRECT else provider.proxy
        if provider.proxy is None:
            try:
                proxy = proxy_for(provider.base_url, self.environ)
            except ValidationError as error:
                self.problems.add_at("environment", str(error.messages[0]))
        return replace(provider, proxy=proxy, trusted_ca_files=self.ca_files)

    def _key(self, written: str) -> str:
        """OpenClaw lets `apiKey` be the bare name of the variable that has the key."""
        if _VARIABLE_NAME.fullmatch(written):
            return self._from_environ(written) or written
        return written

    def _from_environ(self, variable: str) -> str | None:
        """The key that an environment variable has; None if it is not set or blank."""
        return from_environ(variable, self.environ.get(variable, ""), checks.secret, self.problems) or None

    def _without_own(self, headers: Mapping[str, str], name: str) -> dict[str, str]:
        own = sorted(_OWN_HEADERS.intersection(headers))
        if own:
            which = f"models.providers.{name}.headers"
            self.notes.append(f"{which}: not sent, because the gateway sets them itself: {', '.join(own)}")
        return {header: value for header, value in headers.items() if header not in _OWN_HEADERS}


def _timeouts(given: dict[str, Any]) -> ProviderTimeouts:
    """The entry's timeouts; removes OpenClaw's two older keys from the entry."""
    timeouts: ProviderTimeouts = given.get("timeouts", ProviderTimeouts())
    milliseconds, seconds = given.pop("timeout_ms", None), given.pop("timeout_seconds", None)
    total = milliseconds / 1000 if milliseconds is not None else seconds
    return timeouts if timeouts.total is not None or total is None else replace(timeouts, total=float(total))


def _without_prefix(model: ModelSettings, prefix: str) -> ModelSettings:
    """The model under the id that `openrouter/auto` names, also if it is listed as `openrouter/auto`."""
    own = model.id.removeprefix(prefix)
    return model if own == model.id or "/" in own else replace(model, id=own)
