"""What a provider sends with its model's tool calls and wants back with them (`app.messages.Extra`)."""

from __future__ import annotations

from typing import Any

from app.events.types import ExtraDelta
from app.messages import CALL_EXTRAS, MESSAGE_EXTRAS, Extra, json_size
from app.providers.http.lenient_json import without_surrogates

MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # beside the calls of one answer; of more, nothing is kept

EXTRA_NAMES = frozenset(MESSAGE_EXTRAS)


class MessageExtras:
    """Collects what stands beside the calls of one answer: texts and lists, which come in pieces."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._lists: dict[str, list[Any]] = {}
        self._size = 0

    def read(self, fields: dict[str, Any]) -> MessageExtras:
        """Take what a delta, or a message, has of it. Returns itself."""
        for name in MESSAGE_EXTRAS:
            value = fields.get(name)
            if value and isinstance(value, str):
                self._size += len(value)
                self._take(self._texts.setdefault(name, []), [value])
            elif value and isinstance(value, list) and (size := json_size(value)) is not None:
                self._size += size
                self._take(self._lists.setdefault(name, []), value)
        return self

    def end(self, provider: str | None) -> list[ExtraDelta]:
        """The event that has it all; none if there is nothing, or too much of it."""
        texts = {name: without_surrogates("".join(pieces)) for name, pieces in self._texts.items()}
        fields: dict[str, Any] = {**texts, **self._lists}
        if "thinking_blocks" in fields:
            fields["thinking_blocks"] = _joined_thinking(fields["thinking_blocks"])
        if not fields or self._size > MAX_MESSAGE_BYTES:
            return []
        return [ExtraDelta(Extra(fields, provider))]

    def _take(self, pieces: list[Any], more: list[Any]) -> None:
        if self._size <= MAX_MESSAGE_BYTES:
            pieces += more


def _joined_thinking(pieces: list[Any]) -> list[Any]:
    """Blocks of Claude's thinking, which LiteLLM sends in pieces: the signature comes with the last one.

    It is of the whole text, so a block has to go back in one.
    """
    blocks: list[list[Any]] = []
    is_open = False
    for piece in pieces:
        is_thinking = isinstance(piece, dict) and isinstance(piece.get("thinking"), str)
        if is_thinking and is_open:
            blocks[-1].append(piece)
        else:
            blocks.append([piece])
        is_open = is_thinking and not piece.get("signature")
    return [_one_block(block) for block in blocks]


def _one_block(pieces: list[Any]) -> Any:
    if len(pieces) == 1:
        return pieces[0]
    merged = {name: value for piece in pieces for name, value in piece.items()}
    return merged | {"thinking": "".join(piece["thinking"] for piece in pieces)}


def read_call_extras(call: dict[str, Any]) -> dict[str, Any]:
    """What a call, or a fragment of one, has of it."""
    return {
        name: call[name]
        for name in CALL_EXTRAS
        if isinstance(call.get(name), dict) and json_size(call[name]) is not None
    }
