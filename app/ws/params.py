"""The `params` of a request frame. Unknown ones are ignored: newer clients send more than we know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import InvalidRequest

MAX_RUN_ID = 256


class Params:
    """Reads one call's parameters. All raise InvalidRequest, which names the method and the parameter."""

    def __init__(self, method: str, given: Mapping[str, Any]) -> None:
        self.method = method
        self.given = given

    def text(self, name: str) -> str:
        """A required string that is not empty."""
        value = self.optional_text(name)
        if value is None:
            raise self.wrong("at root", f"must have required property '{name}'")
        if not value:
            raise self.wrong(f"at /{name}", "must NOT have fewer than 1 characters")
        return value

    def run_id(self) -> str:
        """The idempotency key, which is also the run's id in every event."""
        value = self.text("idempotencyKey")
        if len(value) > MAX_RUN_ID:
            raise self.wrong("at /idempotencyKey", f"must NOT have more than {MAX_RUN_ID} characters")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string; None if it is missing."""
        value = self.given.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(f"at /{name}", "must be string")
        return value

    def integer(self, name: str, default: int, low: int = 0, high: int = 1_000_000_000) -> int:
        """A number from `low` to `high`; `default` if it is missing, which may lie outside."""
        value = self.given.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise self.wrong(f"at /{name}", "must be integer")
        if not low <= value <= high:
            raise self.wrong(f"at /{name}", f"must be between {low} and {high}")
        return int(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean; `default` if it is missing."""
        value = self.given.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(f"at /{name}", "must be boolean")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of strings; empty if it is missing."""
        value = self.given.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.wrong(f"at /{name}", "must be array of strings")
        return value

    def prefix(self, where: str) -> str:
        """The beginning of every message about these parameters."""
        return f"invalid {self.method} params: {where}"

    def wrong(self, where: str, what: str) -> InvalidRequest:
        """The error for a parameter that is wrong, in the words of a JSON Schema validator."""
        return InvalidRequest(f"{self.prefix(where)}: {what}")
