"""A model's full name, `provider/model`: the one place that splits it."""

from __future__ import annotations

from typing import NamedTuple


class ModelName(NamedTuple):
    """Who serves a model, and what the provider calls it. `model` may have slashes of its own."""

    provider: str
    model: str

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Split at the first slash only. `model` is empty if `text` names no provider."""
        provider, _, model = text.partition("/")
        return cls(provider, model)

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"
