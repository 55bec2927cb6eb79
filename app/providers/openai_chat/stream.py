"""A Chat Completions answer, whole or as a stream of chunks, as model events.

The format is https://platform.openai.com/docs/api-reference/chat-streaming. Many servers follow it loosely:
what has another type than documented is ignored, not refused.
"""

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
    """Reads one answer. `done` is set by `[DONE]`; `begun` once the model has put out anything.

    Tool calls. A call arrives as fragments: the first has its id and name, all of them a part of its
    arguments; each names the call's `index`. Events need an index that belongs to one call only, and some
    servers do not keep to that:

    * They give no index but whole calls, each with an id: a new id is a new call and gets the next index, an
      id seen before continues its call. With neither an index nor an id, the position in the chunk counts.
    * They give the same index (nearly always 0) to several calls, with different ids: the later call is moved
      to a free index (`_index_of_id` has it). Fragments without an id that follow with the given index belong
      to the call that had it last (`_current` maps it to that call's own index).
    * They repeat the id in every fragment: the id says which call it is, whatever the index.
    """

    def __init__(self, secret: str | None = None) -> None:
        self.done = False
        self.begun = False
        self._secret = secret
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._has_tool_calls = False
        self._index_of_id: dict[str, int] = {}  # a call's id -> its index in our events
        self._used: set[int] = set()  # the values of `_index_of_id`
        self._highest = -1  # none of them is larger
        self._current: dict[int, int] = {}  # an index as given -> the index of the call that had it last

    def read(self, payload: bytes) -> Sequence[ModelEvent]:
        """The events of one chunk. Raises the provider's error if the chunk is one, UpstreamError if it is
        not a chunk at all."""
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
                self._read_delta(delta, events)
            if reason := _text(choice.get("finish_reason")):
                self._reason = _REASONS.get(reason, "stop")
        return events

    def finish(self) -> ModelFinished:
        """The last event. Raises UpstreamTruncated if neither a finish reason nor `[DONE]` has come."""
        if self._reason is None and not self.done:
            raise UpstreamTruncated("The provider's answer ended in the middle.")
        reason = self._reason or "stop"
        if self._has_tool_calls and reason == "stop":
            reason = "tool_calls"  # some servers say "stop" beside tool calls
        return ModelFinished(reason, self._usage)

    def _read_delta(self, delta: dict[str, Any], events: list[ModelEvent]) -> None:
        if text := _content(delta.get("content")):
            events.append(TextDelta(text))
        if "reasoning_content" in delta or "reasoning" in delta:
            thinking = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
            if thinking:
                events.append(ReasoningDelta(thinking))
        if calls := delta.get("tool_calls"):
            for position, call in enumerate(_objects(calls)):
                self._has_tool_calls = True
                events.append(self._tool_call(call, position))
        if events:
            self.begun = True

    def _tool_call(self, call: dict[str, Any], position: int) -> ToolCallDelta:
        function = _object(call.get("function"))
        index, call_id = call.get("index"), _text(call.get("id"))
        if not isinstance(index, int):
            index = len(self._index_of_id) if call_id else position
        if call_id is None:
            index = self._current.get(index, index)
        elif call_id in self._index_of_id:
            index = self._index_of_id[call_id]
        else:
            index = self._begin_call(call_id, index)
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        return ToolCallDelta(index, call_id, _text(function.get("name")), arguments)

    def _begin_call(self, call_id: str, given: int) -> int:
        """The index of a new call: the one it was given, unless another call has that already."""
        index = self._highest + 1 if given in self._used else given
        self._highest = max(self._highest, index)
        self._used.add(index)
        self._index_of_id[call_id] = self._current[given] = index
        return index


def _only_text(chunk: dict[str, Any]) -> str | None:
    """The text of a chunk that has a text and nothing else, None for any other chunk.

    Nearly all chunks are such, so they are read the short way.
    """
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
    """The text of a `content`, which some servers send as a list of parts."""
    if isinstance(value, str):
        return value
    return "".join(_text(part.get("text")) or "" for part in _objects(value))


def _object(value: object) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list; none if it is not a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    """`value` if it is a text and not empty."""
    return value if isinstance(value, str) and value else None


def read_whole(body: bytes, secret: str | None) -> Iterator[ModelEvent]:
    """The events of an answer that is one JSON document although a stream was asked for.

    Raises UpstreamError if it is not a chat completion, and what `ChatStream` raises.
    """
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
