"""A Chat Completions answer, whole or as a stream of chunks, as model events.

The format is https://platform.openai.com/docs/api-reference/chat-streaming. Many servers follow it loosely.
So the reading is lenient (what has another type than documented is understood or ignored), and the end is
strict: without a known reason why the model stopped, or with a call announced that has not come, an answer is
no success.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from app.errors import UpstreamError, UpstreamTruncated
from app.events.types import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
)
from app.providers.http.lenient_json import without_surrogates
from app.providers.openai_chat.chunk import DONE, chunks_of, documents_of, load_odd, only_text
from app.providers.openai_chat.content import Content, HalfCharacters, read_fields
from app.providers.openai_chat.errors import error_from_body
from app.providers.openai_chat.failure import failure_in, may_explain
from app.providers.openai_chat.finish_reason import read_finish_reason, shown
from app.providers.openai_chat.tool_calls import ToolCallReader, find_calls
from app.providers.openai_chat.usage import UsageReader, find_usage

_Piece = TextDelta | ReasoningDelta | RefusalDelta
_KINDS: tuple[type[_Piece], ...] = (TextDelta, ReasoningDelta, RefusalDelta)  # as the fields of `Content`


class ChatStream:
    """Reads one answer. `done` is set by `[DONE]`; `begun` once the model has put out anything.

    Of several choices one is read: that whose chunk came first. A whole `message` adds what no delta before
    it had: after streamed text its text is a repetition.
    """

    def __init__(self, secret: str | None = None) -> None:
        self.done = False
        self.begun = False
        self.has_choices = False  # whether anything that came has the form of an answer
        self._secret = secret
        self._reason: FinishReason | None = None
        self._names_reasons = False  # whether any choice had a `finish_reason`, be it null
        self._explanation: dict[str, Any] | None = None
        self._usage = UsageReader()
        self._calls = ToolCallReader()
        self._choice: int | None = None  # the index of the choice that is read
        self._in_deltas: set[str] = set()  # which fields of `Content` came in deltas, and whether "calls" did
        self._from_messages = ""  # the text that came in whole messages
        self._halves = tuple(HalfCharacters() for _ in _KINDS)
        self._in_text = False  # whether a chunk with nothing but text may be read the short way

    def read(self, payload: bytes) -> Sequence[ModelEvent]:
        """The events of one chunk; none after `[DONE]`.

        Raises the provider's error if the chunk is one, UpstreamError if it is not a chunk at all.
        """
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return self._read_value(load_odd(payload, self.done))
        if self._in_text and (text := only_text(chunk)) is not None:
            return (TextDelta(text),)
        return self._read_value(chunk)

    def finish(self) -> list[ModelEvent]:
        """The events that were held back, and the last one.

        Raises UpstreamTruncated if neither a finish reason nor `[DONE]` has come, UpstreamError if what has
        come is not what the reason says.
        """
        reason = self._known_reason()
        if self._calls.seen and reason == "stop":
            reason = "tool_calls"  # some servers say "stop" beside tool calls
        if reason == "tool_calls" and not self._calls.seen:
            raise UpstreamError("The provider announced tool calls and sent none.")
        events: list[ModelEvent] = [
            kind(rest) for kind, halves in zip(_KINDS, self._halves, strict=True) if (rest := halves.rest())
        ]
        return [*events, *self._calls.end(reason), ModelFinished(reason, self._usage.result())]

    def _read_value(self, chunk: object) -> Sequence[ModelEvent]:
        if chunk is None or self.done:
            return ()
        if chunk == DONE:
            self.done, self._in_text = True, False
            return ()
        events: list[ModelEvent] = []
        for one in chunks_of(chunk):
            self._read_chunk(one, events)
        if events or self._calls.seen:
            self.begun = True
        self._in_text = self._expects_text()
        return events

    def _expects_text(self) -> bool:
        return (
            "text" in self._in_deltas
            and self._names_reasons
            and self._choice in (None, 0)
            and not self._halves[0].held
        )

    def _known_reason(self) -> FinishReason:
        if self._reason is not None:
            return self._reason
        if self._explanation is not None:
            raise error_from_body({"error": self._explanation}, self._secret)
        if not self.done:
            raise UpstreamTruncated("The provider's answer ended in the middle.")
        if not self.begun:
            raise UpstreamTruncated("The provider's answer is empty.")
        if self._names_reasons:
            raise UpstreamTruncated("The provider ended its answer without saying why.")
        return "stop"  # a server that knows no reasons, only `[DONE]`

    def _read_chunk(self, chunk: dict[str, Any], events: list[ModelEvent]) -> None:
        if (error := failure_in(chunk)) is not None:
            raise error_from_body({"error": without_surrogates(error)}, self._secret)
        if may_explain(chunk):
            self._explanation = without_surrogates(chunk)
        if isinstance(choices := chunk.get("choices"), list):
            self.has_choices = True
        for choice in _objects(choices):
            if self._is_ours(choice.get("index")):
                self._read_choice(choice, events)
        for usage in find_usage(chunk):
            self._usage.read(usage)

    def _is_ours(self, index: object) -> bool:
        """Whether the choice with this index is the one that is read. One without an index is."""
        number = _index(index)
        if number is None:
            return True
        if self._choice is None:
            self._choice = number
        return number == self._choice

    def _read_choice(self, choice: dict[str, Any], events: list[ModelEvent]) -> None:
        self._names_reasons = self._names_reasons or "finish_reason" in choice
        if delta := _object(choice.get("delta")):
            self._read_delta(delta, events)
        if message := _object(choice.get("message")):
            self._read_message(message, events)
        if isinstance(text := choice.get("text"), str) and not delta and not message:
            self._read_delta({"content": text}, events)  # as completions without chat have it
        self._usage.read(choice.get("usage"))
        if (reason := choice.get("finish_reason")) and isinstance(reason, str):
            self._read_reason(reason)

    def _read_delta(self, delta: dict[str, Any], events: list[ModelEvent]) -> None:
        content = read_fields(delta)
        self._in_deltas.update(name for name, text in content._asdict().items() if text)
        self._add(content, events)
        if calls := find_calls(delta):
            self._in_deltas.add("calls")
            events += self._calls.read(calls)

    def _read_message(self, message: dict[str, Any], events: list[ModelEvent]) -> None:
        """A whole message: what of it has not come in deltas."""
        content = read_fields(message)
        content = content._replace(**dict.fromkeys(self._in_deltas - {"calls"}, ""))
        if content.text:
            content = content._replace(text=self._unread(content.text))
        self._add(content, events)
        if "calls" not in self._in_deltas:
            events += self._calls.read(find_calls(message))

    def _unread(self, text: str) -> str:
        """What of a message's text is new: some servers send it again and again, as far as it has come."""
        known = self._from_messages
        if text.startswith(known):
            self._from_messages = text
            return text[len(known) :]
        self._from_messages += text
        return text

    def _add(self, content: Content, events: list[ModelEvent]) -> None:
        for kind, halves, piece in zip(_KINDS, self._halves, content, strict=True):
            if piece and (text := halves.join(piece)):
                events.append(kind(text))

    def _read_reason(self, given: str) -> None:
        given = without_surrogates(given)
        reason = read_finish_reason(given)
        if reason == "failure":
            raise UpstreamError(f"The provider ended its answer early: {shown(given)}.")
        if reason is not None and (reason != "stop" or self._reason is None):
            self._reason = reason  # some servers say "stop" behind the real reason


def read_whole(body: bytes, secret: str | None) -> Iterator[ModelEvent]:
    """The events of an answer that is one JSON document although a stream was asked for.

    Raises UpstreamError if it is not a chat completion, and what `ChatStream` raises.
    """
    stream = ChatStream(secret)
    for document in documents_of(body):
        yield from stream.read(document)
    if not stream.has_choices:
        raise UpstreamError("The provider answered with JSON that is no chat completion.")
    stream.done = True
    yield from stream.finish()


def _index(value: object) -> int | None:
    """A choice's index as a number, in whatever type it came; None if there is none."""
    if isinstance(value, str | int | float) and str(value).strip():
        try:
            return int(float(value))
        except (ValueError, OverflowError):
            return None
    return None


def _object(value: object) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list; none if it is not a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
