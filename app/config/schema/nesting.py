"""Fields that contain further keys: sections, lists of sections, objects whose keys the operator chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from app.config.schema.fields import MESSAGES, Check, Setting
from app.config.source.problems import write_key


class AnyObject(Setting):
    """An object that is passed on as it is, such as OpenAI's `response_format`."""

    kind = "object"

    def load(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        loaded: dict[str, Any] = plain(value)
        return loaded


class MappingField(Setting):
    """An object whose keys the operator chooses, all of one kind; `name` checks a key."""

    kind = "object"

    def __init__(
        self, doc: str, each: fields.Field[Any], *, name: Check | None = None, **options: Any
    ) -> None:
        super().__init__(doc, **options)
        self.each, self.name_check = each, name

    def load(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        loaded: dict[str, Any] = {}
        wrong: dict[str, Any] = {}
        for key, item in value.items():
            try:
                loaded[self._name(key, loaded)] = self.each.deserialize(item)
            except ValidationError as error:
                wrong[key] = error.messages
        if wrong:
            raise ValidationError(wrong)
        return loaded

    def _name(self, key: str, loaded: Mapping[str, Any]) -> str:
        name = str(self.name_check(key)) if self.name_check else key
        if name in loaded:
            raise ValidationError(f"is the same name as another key here: `{write_key(name)}`")
        return name

    def dump(self, value: Any) -> dict[str, Any]:
        # marshmallow's documented hook for subclasses; its own List calls it on its elements, too.
        return {key: self.each._serialize(item, key, value) for key, item in value.items()}


class Nested(fields.Nested):
    """A section inside a section. `group`: the settings have its keys in the object around it."""

    default_error_messages: dict[str, Any] = {  # noqa: RUF012
        **MESSAGES,
        "type": "must be an object",
    }

    def __init__(self, schema: Any, *, group: bool = False, **options: Any) -> None:
        super().__init__(schema, **options)
        self.group = group

    def get_value(self, obj: Any, attr: str, accessor: Any = None, default: Any = None) -> Any:
        return obj if self.group else super().get_value(obj, attr, accessor, default)


class ObjectList(fields.List[Any]):
    """A list of sections; loads into a tuple."""

    default_error_messages: dict[str, Any] = {  # noqa: RUF012
        **MESSAGES,
        "invalid": "must be a list",
    }

    def _deserialize(self, value: Any, attr: Any, data: Any, **options: Any) -> Any:
        return tuple(super()._deserialize(value, attr, data, **options))


def plain(value: Any) -> Any:
    """The same value as ordinary dicts and lists, without positions."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
