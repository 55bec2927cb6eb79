"""A Chat Completions answer, whole or as a stream of chunks, as model events.

The format is https://platform.openai.com/docs/api-reference/chat-streaming. Many servers follow it loosely.
So the reading is lenient (what has another type than documented is understood or ignored), and the end is
strict: without a known reason why the model stopped, or with a call announced that has not come, an answer is
no success.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from app.errors import UpstreamError, UpstreamTruncated
from app.events.types import FinishReason, ModelEvent, ModelFinished, ReasoningDelta, RefusalDelta, TextDelta
from app.providers.http.lenient_json import without_surrogates
from app.providers.http.secrets import Secrets
from app.providers.openai_chat.chunk import DONE, choice_index, chunks_of, load_odd, only_text, plain_choice
from app.providers.openai_chat.content import HalfCharacters, read_fields
from app.providers.openai_chat.errors import error_from_body
from app.providers.openai_chat.extras import EXTRA_NAMES, MessageExtras
from app.providers.openai_chat.failure import ERROR_KEYS, failure_in, may_explain
from app.providers.openai_chat.finish_reason import reason_to_keep
from app.providers.openai_chat.tool_calls import ToolCallReader, find_calls
from app.providers.openai_chat.usage import UsageReader

Piece = TextDelta | ReasoningDelta | RefusalDelta


class ChatStream:
    """Reads one answer. `done` is set by `[DONE]`; `begun` once the model has put out anything.

    Of several choices one is read: that whose chunk came first. A whole `message` adds what no delta before
    it had: after streamed text its text is a repetition.

    A request has few chunks that are not plain text, but many requests have no other ones. So the usual forms
    are read without calls; what seldom comes is made when it comes.
    """

    def __init__(self, secrets: Secrets | None = None, provider: str | None = None) -> None:
        """`provider` is the name of the one that answers; `secrets` are removed from messages of errors."""
        self.done = False
        self.begun = False
        self.has_choices = False  # whether anything that came has the form of an answer
        self._secrets, self._provider = secrets, provider
        self._reason: FinishReason | None = None
        self._names_reasons = False  # whether any choice had a `finish_reason`, be it null
        self._explanation: dict[str, Any] | None = None
        self._usage = UsageReader()
        self._calls: ToolCallReader | None = None
        self._extras: MessageExtras | None = None
        self._choice: int | None = None  # the index of the choice that is read
        self._in_deltas: set[str] = set()  # which of text, reasoning, refusal and calls came in deltas
        self._from_messages = ""  # the text that came in whole messages
        self._halves: dict[type[Piece], HalfCharacters] = {}
        self._in_text = False  # plain text has come, and more of it may be read the shortest way

    def read(self, payload: bytes) -> Sequence[ModelEvent]:
        """The events of one chunk; none after `[DONE]`.

        Raises the provider's error if the chunk is one, UpstreamError if it is not a chunk at all.
        """
        if payload == b"[DONE]":  # first: an error of the parser costs more than all other chunks
            self.done, self._in_text = True, False
            return ()
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return self._read_odd(payload)
        if self._in_text and (text := only_text(chunk)) is not None:
            return (TextDelta(text),)
        if self._halves and not any(half.held for half in self._halves.values()):
            self._halves = {}  # so that plain chunks are read the short way again
        if type(chunk) is dict and not self.done:
            return self._read_chunk(chunk)
        return self._read_value(chunk)

    def finish(self) -> list[ModelEvent]:
        """The events that were held back, and the last one.

        Raises UpstreamTruncated if neither a finish reason nor `[DONE]` has come, UpstreamError if what has
        come is not what the reason says.
        """
        reason = self._known_reason()
        events: list[ModelEvent] = []
        for kind, halves in self._halves.items():
            if rest := halves.rest():
                events.append(kind(rest))
        if self._calls is not None:
            if reason == "stop":
                reason = "tool_calls"  # some servers say "stop" beside tool calls
            events += self._calls.end(reason)
            if self._extras is not None:
                events += self._extras.end(self._provider)
        elif reason == "tool_calls":
            raise UpstreamError("The provider announced tool calls and sent none.")
        events.append(ModelFinished(reason, self._usage.result()))
        return events

    def _known_reason(self) -> FinishReason:
        if self._reason is not None:
            return self._reason
        if self._explanation is not None:
            raise error_from_body({"error": self._explanation}, self._secrets)
        if not self.done:
            raise UpstreamTruncated("The provider's answer ended in the middle.")
        if not self.begun:
            raise UpstreamTruncated("The provider's answer is empty.")
        if self._names_reasons:
            raise UpstreamTruncated("The provider ended its answer without saying why.")
        return "stop"  # a server that knows no reasons, only `[DONE]`

    def _read_odd(self, payload: bytes) -> Sequence[ModelEvent]:
        """The events of what a strict parser has refused."""
        if not self._halves:
            self._in_text = False
            self._halves = {kind: HalfCharacters() for kind in (TextDelta, ReasoningDelta, RefusalDelta)}
        return self._read_value(load_odd(payload, self.done))

    def _read_value(self, value: object) -> Sequence[ModelEvent]:
        if value is None or self.done:
            return ()
        if value == DONE:
            self.done, self._in_text = True, False
            return ()
        return [event for chunk in chunks_of(value) for event in self._read_chunk(chunk)]

    def _read_chunk(self, chunk: dict[str, Any]) -> Sequence[ModelEvent]:
        choices = chunk.get("choices")
        if choices and not self._halves and not self._choice and (plain := plain_choice(chunk)) is not None:
            return self._read_plain(*plain)
        events: list[ModelEvent] = []
        usage = chunk.get("usage")
        if (not choices and (not usage or "message" in chunk)) or not ERROR_KEYS.isdisjoint(chunk):
            self._look_for_failure(chunk)
        if type(choices) is list:
            self.has_choices = True
            for choice in choices:
                if type(choice) is dict and self._is_ours(choice.get("index")):
                    self._read_choice(choice, events)
        if usage:
            self._usage.read(usage)
        if "x_groq" in chunk or "usageMetadata" in chunk:
            self._usage.read_other_places(chunk)
        if events:
            self.begun = True
        return events

    def _read_plain(self, text: str, reason: str | None) -> Sequence[ModelEvent]:
        """The short way of what `_read_chunk` does, for a chunk that `plain_choice` has found."""
        self.has_choices, self._names_reasons, self._choice = True, True, 0
        if reason:
            self._reason = reason_to_keep(reason, self._reason)
        if not text:
            return ()
        self._in_deltas.add("text")
        self.begun = self._in_text = True
        return (TextDelta(text),)

    def _look_for_failure(self, chunk: dict[str, Any]) -> None:
        """Raises the provider's error if the chunk is one."""
        if (error := failure_in(chunk)) is not None:
            raise error_from_body({"error": without_surrogates(error)}, self._secrets)
        if may_explain(chunk):
            self._explanation = without_surrogates(chunk)

    def _is_ours(self, index: object) -> bool:
        """Whether the choice with this index is the one that is read. One without an index is."""
        number = choice_index(index)
        if number is None:
            return True
        if self._choice is None:
            self._choice = number
        return number == self._choice

    def _read_choice(self, choice: dict[str, Any], events: list[ModelEvent]) -> None:
        delta, message = choice.get("delta"), choice.get("message")
        if "error" in choice:
            self._look_for_failure({"error": choice["error"]})
        if delta and type(delta) is dict:
            self._read_delta(delta, events)
        if message and type(message) is dict:
            self._read_message(message, events)
        elif "text" in choice and not (type(delta) is dict and delta.get("content")):
            self._read_delta({"content": choice["text"]}, events)  # as completions without chat have it
        if "usage" in choice:
            self._usage.read(choice["usage"])
        if "finish_reason" in choice:
            self._names_reasons = True
            if (given := choice["finish_reason"]) and type(given) is str:
                self._reason = reason_to_keep(given, self._reason)

    def _read_delta(self, delta: dict[str, Any], events: list[ModelEvent]) -> None:
        text, reasoning, refusal = read_fields(delta)
        if text:
            self._in_deltas.add("text")
            self._add(TextDelta, text, events)
        if reasoning:
            self._in_deltas.add("reasoning")
            self._add(ReasoningDelta, reasoning, events)
        if refusal:
            self._in_deltas.add("refusal")
            self._add(RefusalDelta, refusal, events)
        if "tool_calls" in delta or "function_call" in delta:
            self._in_deltas.add("calls")
            self._read_calls(delta, events)
        if not EXTRA_NAMES.isdisjoint(delta):
            self._extras = (self._extras or MessageExtras()).read(delta)

    def _read_message(self, message: dict[str, Any], events: list[ModelEvent]) -> None:
        """A whole message: what of it has not come in deltas."""
        text, reasoning, refusal = read_fields(message)
        known = self._in_deltas
        if text and "text" not in known and (text := self._unread(text)):
            self._add(TextDelta, text, events)
        if reasoning and "reasoning" not in known:
            self._add(ReasoningDelta, reasoning, events)
        if refusal and "refusal" not in known:
            self._add(RefusalDelta, refusal, events)
        if "calls" not in known:
            self._read_calls(message, events)
        if self._extras is None and not EXTRA_NAMES.isdisjoint(message):
            self._extras = MessageExtras().read(message)

    def _unread(self, text: str) -> str:
        """What of a message's text is new: some servers send it again and again, as far as it has come."""
        new = text.removeprefix(self._from_messages)
        self._from_messages += new
        return new

    def _add(self, kind: type[Piece], text: str, events: list[ModelEvent]) -> None:
        if self._halves:
            text = self._halves[kind].join(text)
        if text:
            events.append(kind(text))

    def _read_calls(self, fields: dict[str, Any], events: list[ModelEvent]) -> None:
        if calls := find_calls(fields):
            if self._calls is None:
                self._calls = ToolCallReader(self._provider)
            events += self._calls.read(calls)
            self.begun = True
