"""A run's events as the protocol's `agent` and `chat` events (docs/websocket.md#runs). Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.clock import now_ms
from app.events.types import (
    Event,
    ReasoningDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
)

CHAT_SECONDS = 0.15  # the least time between two `chat` deltas of a run
TOOL_EVENTS = "tool-events"


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event to send. `droppable`: a later one has the same content, so a slow client may miss this one.

    `only_starter_with`: only for the connection that started the run, and only if it has that capability.
    """

    event: str
    payload: dict[str, Any]
    droppable: bool = False
    only_starter_with: str | None = None


class RunEncoder:
    """Encodes one run's events, batch by batch. Each event with text has the whole text so far."""

    def __init__(self, run_id: str, agent_id: str, session_key: str) -> None:
        self._run_id = run_id
        self._agent_id = agent_id
        self._session_key = session_key
        self._seq = 0
        self._text = ""
        self._thinking = ""
        self._chat_text = ""  # of the last `chat` delta
        self._chat_sent_at = 0.0

    def encode(self, batch: Sequence[Event]) -> Iterator[OutgoingEvent]:
        """The events to send for a batch; its pieces of text become one."""
        text = "".join(event.text for event in batch if isinstance(event, TextDelta))
        thinking = "".join(event.text for event in batch if isinstance(event, ReasoningDelta))
        yield from self._rest(batch, RunStarted)
        if thinking:
            self._thinking += thinking
            yield self._agent("thinking", {"text": self._thinking, "delta": thinking}, droppable=True)
        yield from self._rest(batch, ToolCalled | ToolReturned)
        if text:
            self._text += text
            yield self._agent("assistant", {"text": self._text, "delta": text}, droppable=True)
            if time.monotonic() - self._chat_sent_at >= CHAT_SECONDS:
                yield from self._chat_delta()
        yield from self._rest(batch, RunFinished | RunFailed)

    def _rest(self, batch: Iterable[Event], kinds: Any) -> Iterator[OutgoingEvent]:
        for event in batch:
            if isinstance(event, kinds):
                yield from self._one(event)

    def _one(self, event: Event) -> Iterator[OutgoingEvent]:
        match event:
            case RunStarted(started_at=started_at):
                yield self._agent("lifecycle", {"phase": "start", "startedAt": int(started_at * 1000)})
            case ToolCalled(call):
                data = {"phase": "start", "name": call.name, "toolCallId": call.id, "args": call.arguments}
                yield self._agent("tool", data, only_starter_with=TOOL_EVENTS)
            case ToolReturned(call_id, name, text, is_error):
                result = {"phase": "result", "name": name, "toolCallId": call_id}
                done = {**result, "isError": is_error, "result": text}
                yield self._agent("tool", done, only_starter_with=TOOL_EVENTS)
            case RunFinished():
                yield self._agent("lifecycle", {"phase": "end", "endedAt": now_ms()})
                yield from self._chat_delta()
                yield self._chat("final", stopReason=event.reason, **self._message())
            case RunFailed(aborted=True):
                yield self._agent("lifecycle", {"phase": "end", "endedAt": now_ms(), "aborted": True})
                yield self._chat("aborted", stopReason="rpc", **self._message())
            case RunFailed(message=message):
                yield self._agent("lifecycle", {"phase": "error", "error": message, "endedAt": now_ms()})
                yield from self._chat_delta()
                yield self._chat("error", errorMessage=message)

    def _chat_delta(self) -> Iterator[OutgoingEvent]:
        text = self._text.rstrip()
        if text == self._chat_text:
            return
        new, self._chat_text, self._chat_sent_at = text[len(self._chat_text) :], text, time.monotonic()
        yield self._chat("delta", droppable=True, deltaText=new, **self._message())

    def _message(self) -> dict[str, Any]:
        """The `message` of a chat event; nothing if there is no text."""
        text = self._text.rstrip()
        if not text:
            return {}
        content = [{"type": "text", "text": text}]
        return {"message": {"role": "assistant", "content": content, "timestamp": now_ms()}}

    def _agent(
        self, stream: str, data: dict[str, Any], droppable: bool = False, only_starter_with: str | None = None
    ) -> OutgoingEvent:
        self._seq += 1
        payload = {
            "runId": self._run_id,
            "seq": self._seq,
            "stream": stream,
            "ts": now_ms(),
            "data": data,
            "sessionKey": self._session_key,
            "agentId": self._agent_id,
        }
        return OutgoingEvent("agent", payload, droppable, only_starter_with)

    def _chat(self, state: str, droppable: bool = False, **fields: Any) -> OutgoingEvent:
        payload = {
            "runId": self._run_id,
            "sessionKey": self._session_key,
            "agentId": self._agent_id,
            "seq": self._seq,
            "state": state,
            **fields,
        }
        return OutgoingEvent("chat", payload, droppable)
