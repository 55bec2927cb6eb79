"""Stored messages, and the answers that they make up for those who asked. Pure.

An agent with tools takes several steps to an answer: it says something and calls a tool, the result comes
back, it says something more. All of that is stored, message by message. Whoever asked over the OpenAI API has
one message of it: the texts of all steps, joined, and those calls that are for the caller itself.

    stored      user Q   assistant "Let me look." + call of read   tool "…"   assistant "It is 4."
    callers'    user Q   assistant "Let me look.\n\nIt is 4."
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple

from app.messages import Extra, Message, ToolCall, Usage
from app.sessions.matching import is_blank

SEPARATOR = "\n\n"  # between the texts of two steps, where neither brings a line end of its own

RunState = Literal["running", "finished", "aborted", "failed", "interrupted"]
MessageState = Literal["complete", "partial", "unpaired", "step"]

_state = attrgetter("state")


class RunKey(NamedTuple):
    """A caller's key for a request, bound to the run that answers it.

    `id` is a hash of the key with whom and what it holds for, `body_hash` one of what is asked for.
    `is_run_id`: the caller's key is the id of the run, too.
    """

    id: str
    body_hash: str
    is_run_id: bool = False


class NewRun(NamedTuple):
    """What else a new run is stored with.

    `hidden`: its session, which nobody has named, is in no list. `request` is JSON, what it takes to go on
    with the run in another process; None if nobody may. `max_waiting` bounds the session's queue, if the
    store is to do that. `waits`: something else than the session's queue keeps it waiting. `key` is
    bound to the run. `started_at`: milliseconds since 1970; None: now.
    """

    hidden: bool = False
    request: str | None = None
    max_waiting: int | None = None
    waits: bool = False
    key: RunKey | None = None
    started_at: int | None = None


PLAIN_RUN = NewRun()


class AcceptedRun(NamedTuple):
    """A run that has been stored: its number in its session, from 1, and the number its writes carry.

    `before` is how many of the session's runs had not ended then; `has_begun`: it is stored as out of the
    queue, as nothing was before it. `has_steps`: it goes on behind the settled steps of one that was cut.
    """

    number: int
    fence: int = 1
    before: int = 0
    has_begun: bool = True
    has_steps: bool = False


class LeftRun(NamedTuple):
    """What a worker has left of a run: its input, the settled steps to an answer, what those have used."""

    input: tuple[Message, ...]
    steps: tuple[tuple[Message, MessageState], ...]
    usage: Usage
    model: str | None


class RunPlace(NamedTuple):
    """Where a run stands now. `is_own`: it goes on, and is the asker's. `before` as in `AcceptedRun`."""

    state: RunState
    is_own: bool
    before: int


class StoredMessage(NamedTuple):
    """A message, and the run of the session it belongs to.

    State `partial`: an answer that was cut short. `unpaired`: it has tool calls without all their results, or
    is a result without its call; a model is not sent those (`app.agents.conversation`). `step`: it calls
    tools of the agent, or is the result of such a call.
    """

    id: int
    run_number: int
    message: Message
    state: MessageState = "complete"
    run_state: RunState = "finished"

    @property
    def may_be_missing(self) -> bool:
        """Whether clients that resend everything may leave it out."""
        return self.state != "complete" or is_blank(self.message)

    @property
    def for_model(self) -> Message:
        """The message without tool calls that may have been cut short."""
        if self.state == "partial" and self.message.tool_calls:
            return self.message._replace(tool_calls=())
        return self.message


def separator(before: str, after: str) -> str:
    """What stands between the texts of two steps, so that they do not run into each other."""
    return "" if not before or before[-1].isspace() or after[0].isspace() else SEPARATOR


def join_texts(texts: Iterable[str]) -> str:
    """The texts of an answer's steps as one, as a client that joins the pieces of a stream has it."""
    pieces: list[str] = []
    last = ""
    for text in filter(None, texts):
        pieces += separator(last, text), text
        last = text
    return "".join(pieces)


class FinalAnswer(NamedTuple):
    """What the caller of a run that finished has got of it."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    refusal: str | None
    extra: Extra | None


def final_answer(run: Sequence[StoredMessage]) -> FinalAnswer:
    """The answer in the messages of one run that finished: its last message, with the steps before it."""
    start = len(run) - 1
    while start > 0 and run[start - 1].state == "step":
        start -= 1
    answer = [one.message for one in run[max(start, 0) :]]
    said = [message for message in answer if message.role == "assistant"]
    if not said:
        return FinalAnswer("", (), None, None)
    done = {message.tool_call_id for message in answer if message.role == "tool"}
    last = said[-1]
    calls = tuple(call for call in last.tool_calls if call.id not in done)
    return FinalAnswer(join_texts(message.text for message in said), calls, last.refusal, last.extra)


def as_answered(stored: Sequence[StoredMessage]) -> tuple[Sequence[StoredMessage], Sequence[int]]:
    """The conversation as its callers have it, each answer as one message; and where, in `stored`, the
    messages of each one end.
    """
    if "step" not in map(_state, stored):
        return stored, range(1, len(stored) + 1)
    answered: list[StoredMessage] = []
    ends: list[int] = []
    place = 0
    while place < len(stored):
        end = _end_of_answer(stored, place)
        one = stored[place] if stored[place].state != "step" else _as_one(stored[place:end])
        answered.append(one)
        ends.append(end)
        place = end
    return answered, ends


def _end_of_answer(stored: Sequence[StoredMessage], start: int) -> int:
    """Where the answer ends that begins at `start`: steps of one run, and what it said after them."""
    end, run_number = start, stored[start].run_number
    while end < len(stored) and stored[end].state == "step" and stored[end].run_number == run_number:
        end += 1
    if end == len(stored) or stored[end].run_number != run_number:
        return end
    return end + 1 if end == start or stored[end].message.role == "assistant" else end


def _as_one(answer: Sequence[StoredMessage]) -> StoredMessage:
    """One message of the steps to an answer, and of the answer."""
    first, last = answer[0], answer[-1]
    said = [one.message for one in answer if one.message.role == "assistant"]
    text = join_texts(message.text for message in said)
    done = {one.message.tool_call_id for one in answer if one.message.role == "tool"}
    calls = tuple(call for call in said[-1].tool_calls if call.id not in done) if said else ()
    refusal = said[-1].refusal if said else None
    state = last.state
    if state == "step":
        state = "complete" if last.run_state == "finished" else "partial"
    return StoredMessage(
        first.id,
        first.run_number,
        Message("assistant", text, calls, refusal=refusal),
        state,
        last.run_state,
    )
