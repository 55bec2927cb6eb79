"""The types of values that a configuration key can have.

`load` turns the file's value into the one in `settings.py`, `dump` back; `kind` is the type's name in the
documentation. No error message repeats the value: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from marshmallow import ValidationError, fields

from app.config.schema import checks
from app.config.source.problems import did_you_mean

REDACTED = "__OPENCLAW_REDACTED__"
NOT_USED_YET = "Accepted, and not used yet."

MESSAGES: Mapping[str, Any] = {
    "null": "null is not a value: leave the key out instead",
    "required": "is missing",
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

Check = Callable[[Any], Any]


class Setting(fields.Field[Any]):
    """A key with its sentence of documentation. `check` may change the value or refuse it.

    `in_use=False`: nothing reads the setting yet, and the documentation says so.
    """

    kind = "any"
    default_error_messages: dict[str, Any] = {**MESSAGES}  # noqa: RUF012

    def __init__(
        self,
        doc: str,
        *,
        check: Check | None = None,
        secret: bool = False,
        in_use: bool = True,
        **options: Any,
    ) -> None:
        doc = doc if in_use else f"{doc} {NOT_USED_YET}"
        super().__init__(metadata={"doc": doc, "secret": secret, "in_use": in_use}, **options)
        self.check = check

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        loaded = self.load(value)
        return self.check(loaded) if self.check else loaded

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return None if value is None else self.dump(value)

    def load(self, value: Any) -> Any:
        """The value for the settings. Raises ValidationError."""
        return value

    def dump(self, value: Any) -> Any:
        """The value as the file would write it."""
        return value


class String(Setting):
    kind = "string"

    def load(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("must be text")
        return value


class FilePath(String):
    """A string in the file, a path in the settings."""

    kind = "path"

    def dump(self, value: Any) -> str:
        return str(value)


class Secret(String):
    """A text that is never shown, tidied by `checks.secret`. An empty one loads as None: not set."""

    kind = "secret string"

    def __init__(self, doc: str, **options: Any) -> None:
        super().__init__(doc, secret=True, **options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return checks.secret(self.load(value)) or None


class Boolean(Setting):
    kind = "true or false"

    def load(self, value: Any) -> bool:
        # The words too: "${NAME}" yields text.
        if value is True or value == "true":
            return True
        if value is False or value == "false":
            return False
        raise ValidationError("must be true or false")


class Number(Setting):
    """What `Float` and `Integer` share. Text such as `"5"` is accepted: `"${NAME}"` yields text."""

    kind = "number"

    def __init__(
        self, doc: str, *, low: float | None = None, high: float | None = None, **options: Any
    ) -> None:
        super().__init__(doc, **options)
        self.low, self.high = low, high

    def load(self, value: Any) -> Any:
        number = self._number(value)
        if number is None or not self._in_range(number):
            raise ValidationError(f"must be a {self.kind}{self._range()}")
        return number

    def _number(self, value: Any) -> float | None:
        try:
            return float(value) if isinstance(value, int | float | str) and not _is_bool(value) else None
        except (ValueError, OverflowError):
            return None

    def _in_range(self, number: float) -> bool:
        return not (
            number != number  # NaN
            or abs(number) == float("inf")
            or (self.low is not None and number < self.low)
            or (self.high is not None and number > self.high)
        )

    def _range(self) -> str:
        if self.low is not None and self.high is not None:
            return f" from {self.low:g} to {self.high:g}"
        return "" if self.low is None else f", {self.low:g} or more"

    def dump(self, value: Any) -> Any:
        return int(value) if float(value).is_integer() else value


class Float(Number):
    """Any finite number."""


class Integer(Number):
    kind = "whole number"

    def _number(self, value: Any) -> Any:
        if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value):
            return int(value)
        if isinstance(value, int) and not _is_bool(value):
            return value if abs(value) < 2**63 else None
        return int(value) if isinstance(value, float) and value.is_integer() else None


class Milliseconds(Number):
    """Milliseconds in the file, seconds in the settings."""

    kind = "number of milliseconds"

    def load(self, value: Any) -> float:
        return float(super().load(value)) / 1000

    def dump(self, value: Any) -> Any:
        return super().dump(value * 1000)


class Duration(Setting):
    """`"30d"`, `"1h30m"` or a number of milliseconds in the file, seconds in the settings."""

    kind = 'duration such as "30d", "1h", "15m", "10s", "500ms"'

    def load(self, value: Any) -> float:
        if isinstance(value, int | float) and not _is_bool(value) and 0 < value < 2**53:
            return value / 1000
        written = re.sub(r"\s+", "", value.lower()) if isinstance(value, str) else ""
        parts = _DURATION_PART.findall(written)
        if not parts or "".join(number + unit for number, unit in parts) != written:
            raise ValidationError(f"must be a {self.kind}, or a number of milliseconds")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if not 0 < seconds < 2**53:
            raise ValidationError("must be longer than zero")
        return seconds

    def dump(self, value: Any) -> Any:
        for unit, seconds in reversed(_UNITS.items()):
            if value >= seconds and (value / seconds).is_integer():
                return f"{value / seconds:.0f}{unit}"
        return f"{value * 1000:g}ms"


class Enum(Setting):
    """One of the words of `choices`, a `typing.Literal`. `aliases` are OpenClaw's other words for them."""

    def __init__(
        self, doc: str, choices: Any, *, aliases: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        super().__init__(doc, **options)
        self.words: tuple[str, ...] = get_args(choices)
        self.aliases = aliases or {}
        self.kind = " or ".join(f'"{word}"' for word in self.words)

    def load(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"must be {self.kind}")
        word = self.aliases.get(value, value)
        if word not in self.words:
            raise ValidationError(f"must be {self.kind}{did_you_mean(value, self.words)}")
        return word


class StringList(Setting):
    """A list of strings without duplicates; `check` is applied to each of them."""

    kind = "list of strings"

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise ValidationError("must be a list")
        loaded, wrong = [], {}
        for index, item in enumerate(value):
            try:
                loaded.append(self._one(item))
            except ValidationError as error:
                wrong[index] = error.messages
        if wrong:
            raise ValidationError(wrong)
        return tuple(dict.fromkeys(loaded))

    def _one(self, item: Any) -> Any:
        if not isinstance(item, str) or not item.strip():
            raise ValidationError("must be text that is not blank")
        return self.check(item.strip()) if self.check else item.strip()

    def dump(self, value: Any) -> list[str]:
        return list(value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)
