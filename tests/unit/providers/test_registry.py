"""Which provider a model's name means, and which model agents get that name none."""

from __future__ import annotations

import pytest

from app.config.apis import ProviderApi
from app.config.settings import ModelSettings, ProviderSettings
from app.errors import InvalidRequest
from app.providers.builtin import BuiltinProvider
from app.providers.registry import ProviderRegistry


def a_provider(
    name: str, api: ProviderApi = "openai-completions", *models: str, default: str | None = None
) -> ProviderSettings:
    return ProviderSettings(
        name, api=api, models=tuple(ModelSettings(model) for model in models), default_model=default
    )


def registry(*settings: ProviderSettings, local_installed: bool = False) -> ProviderRegistry:
    apis: tuple[ProviderApi, ...] = ("openai-completions", "local", "builtin", "scripted")
    builders = dict.fromkeys(apis, lambda provider: BuiltinProvider(provider.name))
    return ProviderRegistry({one.name: one for one in settings}, builders, local_installed)


REMOTE = a_provider("mine", "openai-completions", "big", "small")
LOCAL = a_provider("local", "local", default="smollm2")
BUILTIN = a_provider("builtin", "builtin", default="echo")
SCRIPTED = a_provider("play", "scripted", "hello")


def test_a_name_is_split_at_its_first_slash():
    found = registry(a_provider("openrouter")).resolve("openrouter/meta/llama")
    assert (found.provider.name, found.model, found.name) == (
        "openrouter",
        "meta/llama",
        "openrouter/meta/llama",
    )


@pytest.mark.parametrize("name", ["mine", "mine/", "/big", "", "other/big", "big"])
def test_an_unknown_name_is_refused_with_the_providers_there_are(name: str):
    with pytest.raises(InvalidRequest, match="`mine`, `local`"):
        registry(REMOTE, LOCAL).resolve(name)


def test_a_provider_is_built_once_until_its_settings_change():
    providers = registry(REMOTE, LOCAL)
    mine, local = providers.resolve("mine/big").provider, providers.resolve("local/smollm2").provider
    assert providers.resolve("mine/small").provider is mine
    changed = a_provider("mine", "openai-completions", "big")
    providers.update({"mine": changed, "local": LOCAL})
    assert providers.resolve("mine/big").provider is not mine
    assert providers.resolve("local/smollm2").provider is local


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("mine/big", True),
        ("mine/huge", False),
        ("mine/", False),
        ("mine", False),
        ("other/big", False),
        ("local/anything", True),
    ],
)
def test_a_provider_that_lists_models_serves_those(name: str, listed: bool):
    assert registry(REMOTE, LOCAL).is_listed(name) is listed


@pytest.mark.parametrize(
    ("settings", "local_installed", "model", "reason"),
    [
        ((BUILTIN, LOCAL, SCRIPTED, REMOTE), True, "mine/big", "provider `mine` is configured"),
        ((LOCAL, a_provider("a", default="x"), REMOTE), True, "a/x", "provider `a` is configured"),
        ((a_provider("bare"), REMOTE), False, "mine/big", "provider `mine` is configured"),
        ((BUILTIN, SCRIPTED, LOCAL), True, "local/smollm2", "the local model is installed"),
        ((a_provider("own", "local"),), True, "own/smollm2", "the local model is installed"),
        ((BUILTIN, SCRIPTED, LOCAL), False, "builtin/demo", "the local model is not installed"),
    ],
)
def test_the_model_of_agents_that_name_none(
    settings: tuple[ProviderSettings, ...], local_installed: bool, model: str, reason: str
):
    found, why = registry(*settings, local_installed=local_installed).default_model()
    assert found == model
    assert reason in why
