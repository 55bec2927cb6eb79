"""Which models there are, and which one answers in a session."""

from __future__ import annotations

from collections.abc import Callable

from app.config.apis import APIS
from app.config.settings import ModelSettings, Settings
from app.errors import InvalidRequest
from app.model_name import ModelName
from app.providers.registry import ProviderRegistry


class Models:
    """`settings` gives those in force; `local_installed` says whether the bundled model can be used."""

    def __init__(
        self, settings: Callable[[], Settings], providers: ProviderRegistry, local_installed: bool
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._local_installed = local_installed

    def known(self, name: str) -> str:
        """`name`, if the configuration knows that model. Raises InvalidRequest (`param` is `model`)."""
        self._providers.resolve(name)
        if not self._providers.is_listed(name):
            raise InvalidRequest(
                f"Unknown model {name[:100]!r}: its provider does not list it.", param="model"
            )
        return name

    def find(self, wanted: str) -> str:
        """`provider/model` for a name that may lack its provider. Raises InvalidRequest."""
        name = wanted.strip()
        if not name:
            raise InvalidRequest("invalid model: empty")
        if ModelName.parse(name).provider not in self._settings().providers:
            same = [
                str(ModelName(provider, model.id)) for provider, model in self.listed() if model.id == name
            ]
            name = same[0] if len(same) == 1 else name
        return self.known(name)

    def default(self) -> tuple[str, str]:
        """`provider/model` of the agents that name none, and why it is that one."""
        return self._providers.default_model()

    def of(self, agent_id: str, override: str | None = None) -> str:
        """`provider/model` that a session's next run asks first; `override` was set for the session."""
        agent = self._settings().agent(agent_id)
        return override or (agent and agent.model) or self.default()[0]

    def listed(self) -> list[tuple[str, ModelSettings]]:
        """Every model that a provider lists or suggests, with the provider's name."""
        found: list[tuple[str, ModelSettings]] = []
        for name, provider in self._settings().providers.items():
            if self._local_installed or not APIS[provider.api].needs_local_package:
                suggested = [ModelSettings(provider.default_model)] if provider.default_model else []
                found += [(name, model) for model in provider.models or suggested]
        return found

    def usable(self) -> dict[str, ModelSettings]:
        """By `provider/model`: the listed models, then those that agents use although they are not listed."""
        found = {str(ModelName(provider, model.id)): model for provider, model in self.listed()}
        for agent in self._settings().agents:
            for name in (self.of(agent.id), *agent.fallbacks):
                known = self.describe(name)
                if known is not None:
                    found.setdefault(name, known)
        return found

    def describe(self, name: str) -> ModelSettings | None:
        """What the configuration says of a model; None if its provider is unknown."""
        provider, model = ModelName.parse(name)
        found = self._settings().providers.get(provider)
        return found.model(model) if found is not None else None
