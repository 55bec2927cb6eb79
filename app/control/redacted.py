"""Messages without credentials: those that the configuration has, and what looks like one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from msgspec.structs import replace

from app.config.settings import Settings
from app.config.shown.redact import SecretsOf
from app.json_values import load_json
from app.logs.redaction import REDACTED, redact
from app.messages import Content, Extra, ImagePart, Message, TextPart, ToolCall


class Redactor:
    """`settings` gives the present settings, whose secrets are never shown."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._secrets_of = SecretsOf()

    def text(self, text: str) -> str:
        """The text without credentials."""
        shown = redact(text)
        for secret in self._secrets_of(self._settings()):
            if secret in shown:
                shown = shown.replace(secret, REDACTED)
        return shown

    def value(self, value: Any) -> Any:
        """A JSON value whose texts are without credentials."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {name: self.value(one) for name, one in value.items()}
        return value

    def message(self, message: Message) -> Message:
        """The message whose texts, calls and extras are without credentials; itself if it has none."""
        shown = message._replace(
            content=self._content(message.content),
            tool_calls=tuple(self._call(one) for one in message.tool_calls),
            name=message.name and self.text(message.name),
            refusal=message.refusal and self.text(message.refusal),
            extra=self._extra(message.extra),
        )
        return message if shown == message else shown

    def _content(self, content: Content) -> Content:
        if isinstance(content, str):
            return self.text(content)
        return tuple(one if isinstance(one, ImagePart) else TextPart(self.text(one.text)) for one in content)

    def _call(self, call: ToolCall) -> ToolCall:
        return replace(call, arguments=self._arguments(call.arguments), extra=self._extra(call.extra))

    def _arguments(self, arguments: str) -> str:
        """JSON stays JSON: a credential may stand beside an escaped quotation mark."""
        if self.text(arguments) == arguments:
            return arguments
        try:
            value = load_json(arguments)
        except ValueError:
            return self.text(arguments)
        return orjson.dumps(self.value(value)).decode()

    def _extra(self, extra: Extra | None) -> Extra | None:
        return extra if extra is None else replace(extra, fields=self.value(extra.fields))
