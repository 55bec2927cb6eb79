"""A Chat Completions answer, whole or as server-sent events, as model events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from app.errors import UpstreamError, UpstreamTruncated
from app.events.types import FinishReason, ModelEvent, ModelFinished, ReasoningDelta, TextDelta, ToolCallDelta
from app.messages import Usage
from app.providers.openai_chat.errors import error_from_body

_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class ChatStream:
    """Reads one answer. `done` is set by `[DONE]`; `begun` once any output has come."""

    def __init__(self, secret: str | None = None) -> None:
        self.done = False
        self.begun = False
        self._secret = secret
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._called = False
        self._calls: dict[str, int] = {}  # a call's id -> its index
        self._moved: dict[int, int] = {}  # an index that a server gave twice -> the newer call's own

    def read(self, payload: bytes) -> Sequence[ModelEvent]:
        """The events of one chunk. Raises the provider's error when the chunk is one."""
        if payload == b"[DONE]":
            self.done = True
            return ()
        chunk = _load(payload)
        if (text := _only_text(chunk)) is not None:
            self.begun = True
            return (TextDelta(text),)
        events: list[ModelEvent] = []
        if (error := chunk.get("error")) is not None:
            raise error_from_body({"error": error}, self._secret)
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = _usage(usage)
        for choice in _objects(chunk.get("choices")):
            if choice.get("index"):
                continue  # we ask for one choice only
            if delta := _object(choice.get("delta")) or _object(choice.get("message")):
                self._take(delta, events)
            if reason := _text(choice.get("finish_reason")):
                self._reason = _REASONS.get(reason, "stop")
        return events

    def finish(self) -> ModelFinished:
        """What the call ended in. Raises UpstreamTruncated if neither a reason nor `[DONE]` has come."""
        if self._reason is None and not self.done:
            raise UpstreamTruncated("The provider's answer ended in the middle.")
        reason = self._reason or "stop"
        if self._called and reason == "stop":
            reason = "tool_calls"  # some servers say "stop" beside tool calls
        return ModelFinished(reason, self._usage)

    def _take(self, delta: dict[str, Any], events: list[ModelEvent]) -> None:
        if text := _content(delta.get("content")):
            events.append(TextDelta(text))
        if "reasoning_content" in delta or "reasoning" in delta:
            thinking = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
            if thinking:
                events.append(ReasoningDelta(thinking))
        if calls := delta.get("tool_calls"):
            for position, call in enumerate(_objects(calls)):
                self._called = True
                events.append(self._tool_call(call, position))
        if events:
            self.begun = True

    def _tool_call(self, call: dict[str, Any], position: int) -> ToolCallDelta:
        function = _object(call.get("function"))
        index, call_id = call.get("index"), _text(call.get("id"))
        if not isinstance(index, int):
            # Some servers send whole calls without an index: a new id is a new call.
            index = self._calls.get(call_id or "", len(self._calls) if call_id else position)
        if call_id and call_id not in self._calls:
            taken = set(self._calls.values())
            self._moved[index] = max(taken) + 1 if index in taken else index
            self._calls[call_id] = self._moved[index]
        index = self._calls.get(call_id or "", self._moved.get(index, index))
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        return ToolCallDelta(index, call_id, _text(function.get("name")), arguments)


def _only_text(chunk: dict[str, Any]) -> str | None:
    """The text of a chunk that has nothing but text to tell, as nearly all do: worth a short way."""
    try:
        (choice,) = chunk["choices"]
        delta = choice["delta"]
        text = delta["content"]
        plain = (
            type(text) is str
            and text != ""
            and len(delta) == 1
            and choice["finish_reason"] is None
            and choice["index"] == 0
            and chunk.get("usage") is None
            and "error" not in chunk
        )
    except (KeyError, TypeError, ValueError):
        return None
    return text if plain else None


def _load(payload: bytes) -> dict[str, Any]:
    try:
        chunk = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise UpstreamError("The provider sent something that is not JSON.") from error
    if not isinstance(chunk, dict):
        raise UpstreamError("The provider sent JSON that is no chat completion.")
    return chunk


def _content(value: object) -> str:
    """A text, or parts of which some servers make one."""
    if isinstance(value, str):
        return value
    return "".join(_text(part.get("text")) or "" for part in _objects(value))


def _object(value: object) -> dict[str, Any]:
    """Servers of all kinds put all kinds of things where an object belongs."""
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def read_whole(body: bytes, secret: str | None) -> Iterator[ModelEvent]:
    """The events of an answer that came as one JSON document although a stream was asked for."""
    stream = ChatStream(secret)
    chunk = _load(body)
    if "error" not in chunk and not isinstance(chunk.get("choices"), list):
        raise UpstreamError("The provider answered with JSON that is no chat completion.")
    yield from stream.read(body)
    yield stream.finish()


def _usage(usage: dict[str, Any]) -> Usage:
    def count(value: object) -> int:
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    prompt_details = _object(usage.get("prompt_tokens_details"))
    completion_details = _object(usage.get("completion_tokens_details"))
    return Usage(
        prompt_tokens=count(usage.get("prompt_tokens")),
        completion_tokens=count(usage.get("completion_tokens")),
        cached_tokens=count(prompt_details.get("cached_tokens")),
        reasoning_tokens=count(completion_details.get("reasoning_tokens")),
    )
