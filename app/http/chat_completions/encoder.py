"""Events -> Chat Completions objects, whole or in chunks (docs/http.md#answers, #streaming). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from msgspec.structs import replace

from app.events.types import (
    Event,
    ExtraDelta,
    ReasoningDelta,
    RefusalDelta,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCallDelta,
)
from app.http.errors import envelope
from app.http.run_events import WantedEvents, dump_run_event, dump_run_events
from app.messages import EXTRA_PROVIDER, Extra, ToolCall, Usage
from app.runs.run import RunResult

DONE = b"data: [DONE]\n\n"


def dump_usage(usage: Usage) -> dict[str, Any]:
    """OpenAI's `usage` object; counts are tokens."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def dump_completion(run_id: str, created: int, model: str, result: RunResult) -> dict[str, Any]:
    """OpenAI's `chat.completion` object. `content` is null beside tool calls or a refusal without text."""
    message: dict[str, Any] = {"role": "assistant", "content": result.text}
    if result.refusal:
        message["content"] = result.text or None
        message["refusal"] = result.refusal
    if result.tool_calls:
        message["content"] = result.text or None
        message["tool_calls"] = [_tool_call(call) for call in result.tool_calls]
        message |= _dump_extra(result.extra)
    choice = {"index": 0, "message": message, "finish_reason": result.reason, "logprobs": None}
    return {
        "id": run_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": dump_usage(result.usage),
    }


def add_run_events(completion: dict[str, Any], events: Sequence[Event], wanted: WantedEvents) -> None:
    """Add to a `chat.completion` what its caller wants to see of the run besides."""
    if openclaw := dump_run_events(events, wanted):
        completion["openclaw"] = openclaw
    if "reasoning" in wanted:
        reasoning = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
        if reasoning:
            completion["choices"][0]["message"].setdefault("reasoning_content", reasoning)


class ChunkEncoder:
    """Encodes one stream. All chunks share their beginning and end, so these are serialised once."""

    def __init__(self, run_id: str, created: int, model: str, include_usage: bool) -> None:
        head = {"id": run_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._head = b"data: " + orjson.dumps(head)[:-1]
        self._delta = self._head + b',"choices":[{"index":0,"delta":'
        self._text = self._delta + b'{"content":'
        usage = b',"usage":null' if include_usage else b""
        self._open_end = b',"finish_reason":null}]' + usage + b"}\n\n"
        self._text_end = b"}" + self._open_end
        self._usage_end = usage + b"}\n\n"
        self._include_usage = include_usage

    def begin(self) -> bytes:
        """The role chunk, sent before the model has answered."""
        return self._delta + b'{"role":"assistant","content":""}' + self._open_end

    def encode(self, events: Iterable[Event]) -> bytes:
        """The chunks of a batch of events, joined."""
        return b"".join([self._chunk(event) for event in events])

    def keepalive(self) -> bytes:
        """A chunk with an empty delta, for clients that cannot skip comments."""
        return self._delta + b"{}" + self._open_end

    def _chunk(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):  # nearly all are; a class pattern takes ten times as long
            return self._text + orjson.dumps(event.text) + self._text_end
        match event:
            case ToolCallDelta():
                return self._delta + orjson.dumps({"tool_calls": [_fragment(event)]}) + self._open_end
            case RefusalDelta(text):
                return self._delta + orjson.dumps({"refusal": text}) + self._open_end
            case ExtraDelta(extra):
                return self._delta + orjson.dumps(_dump_extra(extra)) + self._open_end
            case RunFinished(reason, usage):
                finish = self._delta + b'{},"finish_reason":' + orjson.dumps(reason) + b"}]" + self._usage_end
                return finish + self._usage(usage) + DONE
            case RunFailed():
                return b"data: " + orjson.dumps(envelope(event.as_error())) + b"\n\n" + DONE
            case _:
                return b""

    def _usage(self, usage: Usage) -> bytes:
        if not self._include_usage:
            return b""
        return self._head + b',"choices":[],"usage":' + orjson.dumps(dump_usage(usage)) + b"}\n\n"


class EventChunkEncoder(ChunkEncoder):
    """The same for a caller who wants to see more of the run: chunks with `openclaw` in place of choices."""

    def __init__(
        self, run_id: str, created: int, model: str, include_usage: bool, wanted: WantedEvents
    ) -> None:
        super().__init__(run_id, created, model, include_usage)
        self._wanted = wanted
        self._has_reasoning = False

    def _chunk(self, event: Event) -> bytes:
        if isinstance(event, ReasoningDelta):
            if "reasoning" not in self._wanted:
                return b""
            self._has_reasoning = True
            return self._delta + orjson.dumps({"reasoning_content": event.text}) + self._open_end
        if isinstance(event, ExtraDelta) and self._has_reasoning:
            # What the provider wants back of it has been sent, piece by piece; clients would join both.
            rest = {name: one for name, one in event.extra.fields.items() if name != "reasoning_content"}
            event = ExtraDelta(replace(event.extra, fields=rest))
        if (openclaw := dump_run_event(event, self._wanted)) is not None:
            return self._head + b',"choices":[],"openclaw":' + orjson.dumps(openclaw) + self._usage_end
        return super()._chunk(event)


def _fragment(delta: ToolCallDelta) -> dict[str, Any]:
    if delta.id is None:
        return {
            "index": delta.index,
            "function": {"arguments": delta.arguments},
            **_dump_extra(delta.extra),
        }
    function = {"name": delta.name, "arguments": delta.arguments}
    call = {"index": delta.index, "id": delta.id, "type": "function", "function": function}
    return call | _dump_extra(delta.extra)


def _tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function, **_dump_extra(call.extra)}


def _dump_extra(extra: Extra | None) -> dict[str, Any]:
    """What a provider wants back, and whose it is, for the caller to resend (`load_extra`)."""
    return {} if extra is None else {**extra.fields, EXTRA_PROVIDER: extra.provider}
