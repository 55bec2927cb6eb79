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
    TextDelta,
    ToolCalled,
    ToolUpdated,
)
from app.ws.lifecycle import Lifecycle
from app.ws.tool_events import StreamData, ToolEvents

MAX_WHOLE_TEXT = 256 * 1024  # characters: up to here, each piece of text comes with all the text before it
TOOL_EVENTS = "tool-events"
_SHOWN = TextDelta | RefusalDelta  # the protocol has no field of its own for a refusal


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event to send. `droppable`: a later one has the same content, so a slow client may miss this one.

    `only_starter_with`: only for the connection that started the run, and only if it has that capability.
    `brief` takes the payload's place for clients that get no output of tools, `last_turn` for those that show
    what is said before a call as a message of its own.
    `text` names the text that the event has a piece of. If its payload leaves out what was sent before, a
    connection that has not got the event before it needs `whole()` in place of the payload.
    """

    event: str
    payload: Mapping[str, Any]
    droppable: bool = False
    only_starter_with: str | None = None
    brief: Mapping[str, Any] | None = None
    last_turn: Mapping[str, Any] | None = None
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
    `shows_reasoning`: the model's reasoning is sent, too.
    """

    def __init__(self, run_id: str, agent_id: str, session_key: str, *, shows_reasoning: bool = True) -> None:
        self._run_id = run_id
        self._agent_id = agent_id
        self._session_key = session_key
        self._seq = 0
        self._ended = False
        self._shows_reasoning = shows_reasoning
        self._tools = ToolEvents()
        self._lifecycle = Lifecycle(run_id)
        self._text = _Text()
        self._thinking = _Text()
        # `chat` events leave out blanks at the end of the text so far: they come with what follows them.
        self._chat_size = 0  # characters of the text that `chat` events have had
        self._chat_rest = ""  # the text after them
        self._chat_turn = 0  # characters of the text before the last call of a tool
        self._chat_is_whole = True  # the last `chat` delta had the whole text

    def encode(self, batch: Sequence[Event]) -> Iterator[OutgoingEvent]:
        """The events to send for a batch. Pieces of text that follow each other become one."""
        texts: list[str] = []
        thoughts: list[str] = []
        newest = {event.call_id: event for event in batch if isinstance(event, ToolUpdated)}
        for event in batch:
            if self._lifecycle.asks_model:
                for phase in self._lifecycle.model(event):
                    yield self._agent("lifecycle", phase)
            if isinstance(event, _SHOWN):
                texts.append(event.text)
            elif isinstance(event, ReasoningDelta):
                if self._shows_reasoning:
                    thoughts.append(event.text)
            elif not isinstance(event, ToolUpdated) or newest[event.call_id] is event:
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
        if isinstance(event, ToolCalled):
            yield from self._chat_delta()  # clients show what was said before a call above it
            self._chat_turn = self._chat_size
        for phase in self._lifecycle.encode(event, self._tools.successful):
            yield self._agent("lifecycle", phase)
        for data in self._tools.encode(event):
            yield self._of_tool(data)
        if isinstance(event, RunFinished | RunFailed):
            self._ended = True
            yield from self._end(event)

    def _of_tool(self, data: StreamData) -> OutgoingEvent:
        event = self._agent(data.stream, data.data, TOOL_EVENTS if data.is_detail else None)
        brief = None if data.brief is None else {**event.payload, "data": data.brief}
        return replace(event, droppable=data.droppable, brief=brief)

    def _end(self, event: RunFinished | RunFailed) -> Iterator[OutgoingEvent]:
        match event:
            case RunFinished():
                yield from self._chat_delta(last=True)
                yield self._chat_end("final", event.reason)
            case RunFailed(aborted=True):
                self._new_chat_text()
                yield self._chat_end("aborted", "rpc")
            case RunFailed(message=message):
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

    def _chat_end(self, state: str, reason: str) -> OutgoingEvent:
        """The last event, with the text of all turns, and for some clients that of the last one."""
        size, start = self._chat_size, self._chat_turn
        event = self._chat(state, stopReason=reason, **self._message(size))
        if not start:
            return event
        return replace(
            event, last_turn=self._chat(state, stopReason=reason, **self._message(size, start)).payload
        )

    def _message(self, size: int, start: int = 0) -> dict[str, Any]:
        """The `message` of a chat event with the text up to `size` characters; nothing if there is none."""
        text = self._text.up_to(size)[start:].lstrip() if start else self._text.up_to(size)
        if not text:
            return {}
        content = [{"type": "text", "text": text}]
        return {"message": {"role": "assistant", "content": content, "timestamp": now_ms()}}

    def _agent(
        self, stream: str, data: Mapping[str, Any], only_starter_with: str | None = None
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
