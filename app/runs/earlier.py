"""What an earlier attempt has done of a run that is gone on with: by another worker, or in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from app.agents.answer import AnswerMessage
from app.events.types import Event, TextDelta, ToolCalled, ToolReturned
from app.messages import Message, ToolCall, Usage
from app.sessions.stored import separator


class Earlier(NamedTuple):
    """What an earlier attempt has left of a run: its input and settled steps, what those have used, and the
    ids of calls without a result that were certainly not made.
    """

    input: Sequence[Message] = ()
    steps: Sequence[AnswerMessage] = ()
    usage: Usage = Usage()
    model: str | None = None
    not_made: frozenset[str] = frozenset()


NO_EARLIER = Earlier()


def events_of(steps: Sequence[AnswerMessage]) -> Iterator[Event]:
    """What has happened in the settled steps, as a follower from the start would have seen it."""
    text = ""
    calls: dict[str, ToolCall] = {}
    for message, _ in steps:
        if message.role == "tool":
            call = calls.pop(message.tool_call_id or "", None)
            if call is not None:
                yield ToolCalled(call)
                yield ToolReturned(call.id, call.name, message.text)
            continue
        calls = {call.id: call for call in message.tool_calls}
        if message.text:
            between = separator(text, message.text)
            yield from (TextDelta(one) for one in (between, message.text) if one)
            text += between + message.text
