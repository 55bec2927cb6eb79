"""The real model in its own process. Tests find each process by its id."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.config.settings import ProviderSettings
from app.providers.local.provider import LocalProvider
from app.providers.local.supervisor import LocalModel
from app.providers.openai_chat.provider import OpenAIChatProvider

SETTINGS = ProviderSettings("local", api="local")


@pytest.fixture
def model(tmp_path: Path) -> Iterator[LocalModel]:
    model = LocalModel(tmp_path)
    yield model
    model.close()


@pytest.fixture
def provider(model: LocalModel) -> Iterator[LocalProvider]:
    """A provider with a process of its own, for tests of the process."""
    provider = LocalProvider(SETTINGS, model, OpenAIChatProvider)
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def lasting_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProvider]:
    """One provider for all tests that only ask for answers."""
    provider = LocalProvider(SETTINGS, LocalModel(tmp_path_factory.mktemp("state")), OpenAIChatProvider)
    yield provider
    provider.close()


@pytest.fixture
def child_pid(tmp_path: Path) -> Callable[[], int]:
    """The id of the process that serves `model`."""
    return lambda: int(json.loads((tmp_path / "local-model.json").read_text())["pid"])
