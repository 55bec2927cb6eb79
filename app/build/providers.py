"""The providers: a literal table of what serves which `api`."""

from __future__ import annotations

from collections.abc import Mapping

from app.config.apis import ProviderApi
from app.config.settings import ProviderSettings, Settings
from app.config.watch import ConfigWatch
from app.providers.base import Provider
from app.providers.builtin import BuiltinProvider
from app.providers.local import weights
from app.providers.local.provider import LocalProvider
from app.providers.local.supervisor import LocalModel
from app.providers.openai_chat.provider import OpenAIChatProvider
from app.providers.registry import BuildProvider, ProviderRegistry
from app.providers.scripted import ScriptedProvider


def build_providers(watch: ConfigWatch) -> ProviderRegistry:
    """The registry, with each change of the configuration taken over."""
    settings = watch.settings
    providers = ProviderRegistry(settings.providers, provider_builders(settings), weights.installed())
    watch.add_listener(lambda new: providers.update(new.providers))
    return providers


def provider_builders(settings: Settings) -> Mapping[ProviderApi, BuildProvider]:
    """The literal table from a provider's `api` to what serves it."""

    local_model = LocalModel(settings.state_dir)

    def build_local(provider: ProviderSettings) -> Provider:
        return LocalProvider(provider, local_model, OpenAIChatProvider)

    return {
        "openai-completions": OpenAIChatProvider,
        "local": build_local,
        "builtin": lambda provider: BuiltinProvider(provider.name),
        "scripted": ScriptedProvider,
    }
