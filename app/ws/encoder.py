"""A run's events as the protocol's `agent` and `chat` events (docs/websocket.md#runs). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.clock import now_ms
from app.events.types import (
    Event,
    ReasoningDelta,
    RefusalDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
)

MAX_WHOLE_TEXT = 256 * 1024  # characters: up to here, each piece of text comes with all the text before it
TOOL_EVENTS = "tool-events"
_SHOWN = TextDelta | RefusalDelta  # the protocol has no field of its own for a refusal


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event to send. `droppable`: a later one has the same content, so a slow client may miss this one.

    `only_starter_with`: only for the connection that started the run, and only if it has that capability.
    `text` names the text that the event has a piece of. If its payload leaves out what was sent before, a
    connection that has not got the event before it needs `whole()` in place of the payload.
    """

    event: str
    payload: Mapping[str, Any]
    droppable: bool = False
    only_starter_with: str | None = None
    text: str | None = None
    whole: Callable[[], Mapping[str, Any]] | None = None


class _Text:
    """A text that grows. It is put together only when it is asked for."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.size = 0  # characters
        self.new = ""  # what came last

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self.size += len(text)
        self.new = text

    def up_to(self, size: int) -> str:
        """The first `size` characters."""
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0][:size]


class RunEncoder:
    """Encodes one run's events, batch by batch.

    Each event with text has what is new in it, and the whole text so far unless that is very long.
    """

    def __init__(self, run_id: str, agent_id: str, session_key: str) -> None:
        self._run_id = run_id
        self._agent_id = agent_id
        self._session_key = session_key
        self._seq = 0
        self._ended = False
        self._text = _Text()
        self._thinking = _Text()
        # `chat` events leave out blanks at the end of the text so far: they come with what follows them.
        self._chat_size = 0  # characters of the text that `chat` events have had
        self._chat_rest = ""  # the text after them
        self._chat_is_whole = True  # the last `chat` delta had the whole text

    def encode(self, batch: Sequence[Event]) -> Iterator[OutgoingEvent]:
        """The events to send for a batch. Pieces of text that follow each other become one."""
        texts: list[str] = []
        thoughts: list[str] = []
        for event in batch:
            if isinstance(event, _SHOWN):
                texts.append(event.text)
            elif isinstance(event, ReasoningDelta):
                thoughts.append(event.text)
            else:
                yield from self._grow(texts, thoughts)
                yield from self._one(event)
        yield from self._grow(texts, thoughts)
        if not self._ended:
            yield from self._chat_delta()

    def _grow(self, texts: list[str], thoughts: list[str]) -> Iterator[OutgoingEvent]:
        """The events for new text; empties both lists."""
        for stream, pieces, text in (
            ("thinking", thoughts, self._thinking),
            ("assistant", texts, self._text),
        ):
            if new := "".join(pieces):
                text.add(new)
                yield self._text_event(stream, text)
                if text is self._text:
                    self._chat_rest += new
            pieces.clear()

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
            case RunFinished() | RunFailed():
                self._ended = True
                yield from self._end(event)

    def _end(self, event: RunFinished | RunFailed) -> Iterator[OutgoingEvent]:
        match event:
            case RunFinished():
                yield self._agent("lifecycle", {"phase": "end", "endedAt": now_ms()})
                yield from self._chat_delta(last=True)
                yield self._chat("final", stopReason=event.reason, **self._message(self._chat_size))
            case RunFailed(aborted=True):
                yield self._agent("lifecycle", {"phase": "end", "endedAt": now_ms(), "aborted": True})
                self._new_chat_text()
                yield self._chat("aborted", stopReason="rpc", **self._message(self._chat_size))
            case RunFailed(message=message):
                yield self._agent("lifecycle", {"phase": "error", "error": message, "endedAt": now_ms()})
                yield from self._chat_delta(last=True)
                yield self._chat("error", errorMessage=message)

    def _text_event(self, stream: str, text: _Text) -> OutgoingEvent:
        new, size = text.new, text.size
        if size <= MAX_WHOLE_TEXT:
            data = {"text": text.up_to(size), "delta": new}
            return replace(self._agent(stream, data), droppable=True, text=stream)
        event = self._agent(stream, {"delta": new})

        def whole() -> Mapping[str, Any]:
            return {**event.payload, "data": {"text": text.up_to(size), "delta": new}}

        return replace(event, droppable=True, text=stream, whole=whole)

    def _chat_delta(self, last: bool = False) -> Iterator[OutgoingEvent]:
        """What is new for `chat` events; the `last` one has the whole text, however long it is."""
        new, size = self._new_chat_text(), self._chat_size
        if not new and (self._chat_is_whole or not last):
            return
        event = replace(self._chat("delta", deltaText=new), droppable=True, text="chat")

        def whole() -> Mapping[str, Any]:
            return {**event.payload, **self._message(size)}

        self._chat_is_whole = last or size <= MAX_WHOLE_TEXT
        yield replace(event, payload=whole()) if self._chat_is_whole else replace(event, whole=whole)

    def _new_chat_text(self) -> str:
        new = self._chat_rest.rstrip()
        self._chat_rest = self._chat_rest[len(new) :]
        self._chat_size += len(new)
        return new

    def _message(self, size: int) -> dict[str, Any]:
        """The `message` of a chat event with the first `size` characters; nothing if there are none."""
        if not size:
            return {}
        content = [{"type": "text", "text": self._text.up_to(size)}]
        return {"message": {"role": "assistant", "content": content, "timestamp": now_ms()}}

    def _agent(
        self, stream: str, data: dict[str, Any], only_starter_with: str | None = None
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
        return OutgoingEvent("agent", payload, only_starter_with=only_starter_with)

    def _chat(self, state: str, **fields: Any) -> OutgoingEvent:
        payload = {
            "runId": self._run_id,
            "sessionKey": self._session_key,
            "agentId": self._agent_id,
            "seq": self._seq,
            "state": state,
            **fields,
        }
        return OutgoingEvent("chat", payload)
