"""The base class of all sections: keys are camelCase in the file, unknown ones are refused."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, fields, post_load

from app.config.schema.nesting import Nested


class Section(Schema):
    """Loads into `makes`, whose own defaults apply to missing keys.

    `unused` are keys that OpenClaw knows and this project does not use: accepted, and named once in the log.
    """

    class Meta:
        unknown = RAISE

    makes: ClassVar[Any] = dict
    defaults: ClassVar[Any] = None  # whose defaults they are, where `makes` is a dict
    unused: ClassVar[frozenset[str]] = frozenset()
    documented_in: ClassVar[Any] = None  # the section that documents the keys that both have

    error_messages = {  # noqa: RUF012
        "unknown": "is not a key of this section",
        "type": "must be an object",
    }

    @classmethod
    def settings_class(cls) -> type | None:
        """The dataclass that has an attribute for each key, None if the keys stay in a dict."""
        found: type = cls.defaults or cls.makes
        return found if is_dataclass(found) else None

    @classmethod
    def spelling(cls, key: str) -> str:
        """The spelling of a key that this section knows; a section may accept others."""
        return key

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        if field_obj.data_key is None:
            first, *others = field_name.split("_")
            field_obj.data_key = first + "".join(word.capitalize() for word in others)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Any:
        for name, field in self.fields.items():
            if isinstance(field, Nested) and field.group:
                data.update(data.pop(name, {}))
        return self.makes(**data)
