"""A run's events as the protocol's `agent` and `chat` events (contract, WebSocket section 4). Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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

CHAT_SECONDS = 0.15  # the least time between two chat deltas of a run
TOOL_EVENTS = "tool-events"


@dataclass(frozen=True, slots=True)
class Told:
    """One event to send. `droppable`: a later one says it again. `cap`: only for those who asked for it."""

    event: str
    payload: dict[str, Any]
    droppable: bool = False
    only_starter_with: str | None = None


class RunEncoder:
    """One run's events, in batches, as they are to be told. Text is told whole each time."""

    def __init__(self, run_id: str, agent_id: str, session_key: str) -> None:
        self._run_id = run_id
        self._agent_id = agent_id
        self._session_key = session_key
        self._seq = 0
        self._text = ""
        self._thinking = ""
        self._shown = ""  # what the last chat delta had
        self._shown_at = 0.0

    def encode(self, batch: Sequence[Event]) -> Iterator[Told]:
        """Pieces of text that came together are told together."""
        text = "".join(event.text for event in batch if isinstance(event, TextDelta))
        thinking = "".join(event.text for event in batch if isinstance(event, ReasoningDelta))
        yield from self._others(batch, RunStarted)
        if thinking:
            self._thinking += thinking
            yield self._agent("thinking", {"text": self._thinking, "delta": thinking}, droppable=True)
        yield from self._others(batch, ToolCalled | ToolReturned)
        if text:
            self._text += text
            yield self._agent("assistant", {"text": self._text, "delta": text}, droppable=True)
            if time.monotonic() - self._shown_at >= CHAT_SECONDS:
                yield from self._chat_delta()
        yield from self._others(batch, RunFinished | RunFailed)

    def _others(self, batch: Iterable[Event], kinds: Any) -> Iterator[Told]:
        for event in batch:
            if isinstance(event, kinds):
                yield from self._other(event)

    def _other(self, event: Event) -> Iterator[Told]:
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
                yield self._agent("lifecycle", {"phase": "end", "endedAt": _now()})
                yield from self._chat_delta()
                yield self._chat("final", stopReason=event.reason, **self._message())
            case RunFailed(aborted=True):
                yield self._agent("lifecycle", {"phase": "end", "endedAt": _now(), "aborted": True})
                yield self._chat("aborted", stopReason="rpc", **self._message())
            case RunFailed(message=message):
                yield self._agent("lifecycle", {"phase": "error", "error": message, "endedAt": _now()})
                yield from self._chat_delta()
                yield self._chat("error", errorMessage=message)

    def _chat_delta(self) -> Iterator[Told]:
        text = self._text.rstrip()
        if text == self._shown:
            return
        new, self._shown, self._shown_at = text[len(self._shown) :], text, time.monotonic()
        yield self._chat("delta", droppable=True, deltaText=new, **self._message())

    def _message(self) -> dict[str, Any]:
        """The `message` of a chat event; none when nothing was said."""
        text = self._text.rstrip()
        if not text:
            return {}
        content = [{"type": "text", "text": text}]
        return {"message": {"role": "assistant", "content": content, "timestamp": _now()}}

    def _agent(
        self, stream: str, data: dict[str, Any], droppable: bool = False, only_starter_with: str | None = None
    ) -> Told:
        self._seq += 1
        payload = {
            "runId": self._run_id,
            "seq": self._seq,
            "stream": stream,
            "ts": _now(),
            "data": data,
            "sessionKey": self._session_key,
            "agentId": self._agent_id,
        }
        return Told("agent", payload, droppable, only_starter_with)

    def _chat(self, state: str, droppable: bool = False, **fields: Any) -> Told:
        payload = {
            "runId": self._run_id,
            "sessionKey": self._session_key,
            "agentId": self._agent_id,
            "seq": self._seq,
            "state": state,
            **fields,
        }
        return Told("chat", payload, droppable)


def _now() -> int:
    return int(time.time() * 1000)
