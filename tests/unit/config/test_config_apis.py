"""The table of facts for each kind of provider says the same as the types, and as what is built from it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from app.build.providers import provider_builders
from app.config.apis import APIS, DEFAULT_API, ProviderApi
from app.config.build.catalogue import CATALOGUE
from app.config.schema.models import ProviderSchema
from app.config.settings import Settings


def test_every_api_has_facts_and_a_builder_and_may_be_written(tmp_path: Path):
    assert list(APIS) == list(get_args(ProviderApi))
    assert provider_builders(Settings(tmp_path)).keys() == APIS.keys()
    for api in APIS:
        assert ProviderSchema().load({"api": api})["api"] == api


def test_what_is_bundled_is_in_the_catalogue_and_what_needs_an_address_has_one():
    assert {entry.api for entry in CATALOGUE.values() if not entry.variable and not entry.base_url} == {
        api for api, facts in APIS.items() if facts.is_bundled
    }
    assert all(entry.base_url for entry in CATALOGUE.values() if APIS[entry.api].needs_base_url)
    assert APIS[DEFAULT_API].needs_base_url
