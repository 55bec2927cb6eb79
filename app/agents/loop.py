"""The agent at work: asks the model, turn after turn, and yields what happens.

Above it: `app/runs/drive.py`, which stores and publishes. Below: providers and tools. It knows no session and
no transport.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from app.agents.answer import Answer, AnswerMessage
from app.agents.conversation import put_in_order
from app.agents.fallback import ObserveFailure, call_model
from app.agents.tool_calls import AgentTools, as_message
from app.agents.turn import run_turn
from app.cancel import Cancel
from app.errors import MaxTurns
from app.events.types import Event, ModelEvent, RunFinished, TextDelta
from app.messages import Message, ToolCall
from app.providers.base import ModelCall
from app.providers.registry import Candidate
from app.sessions.stored import separator
from app.tools.base import ToolOutput

Save = Callable[[Sequence[AnswerMessage]], object]


class AgentTask(msgspec.Struct, frozen=True):
    """All an agent needs for one run: the models that may answer, in order of preference, and the first call.

    `tools` None: it has none, and every call is its caller's. `max_turns` bounds the model calls.
    """

    candidates: Sequence[Candidate]
    call: ModelCall
    observe_failure: ObserveFailure
    tools: AgentTools | None = None
    max_turns: int = 1


def keep_nothing(_entries: Sequence[AnswerMessage]) -> None:
    """The `Save` of a run that stores nothing."""


def run_agent(task: AgentTask, answer: Answer, cancel: Cancel, save: Save = keep_nothing) -> Iterator[Event]:
    """Yields what happens, and `RunFinished` last; `answer` has the turns, however the run ends.

    `save` is called with the new entries of the answer, before and after each of its tools works.
    Raises MaxTurns if the turns are used up and nothing has been said.
    """
    tools, call = task.tools, task.call
    while True:
        turn = answer.begin_turn(None if tools is None else tools.is_own)
        events = run_turn(turn, call, call_model(task.candidates, call, cancel, task.observe_failure))
        yield from events if len(answer.turns) == 1 else _set_apart(events, answer)
        own = turn.own_calls
        if tools is None or not own:
            break
        answer.close_turn()
        if len(answer.turns) >= task.max_turns:
            _leave_out(own, answer, task.max_turns)
            yield RunFinished("length", answer.usage)
            return
        _save_new(answer, save)
        tools.run(own, partial(_keep_result, answer, save))
        if turn.client_calls:
            break
        call = _next_call(task.call, answer)
    yield RunFinished(turn.reason, answer.usage, turn.client_calls)


def _set_apart(events: Iterator[ModelEvent], answer: Answer) -> Iterator[Event]:
    """The events of a later turn, with a separator before its first text if it needs one."""
    before = answer.text
    has_text = False
    for event in events:
        if not has_text and isinstance(event, TextDelta) and event.text:
            has_text = True
            if between := separator(before, event.text):
                yield TextDelta(between)
        yield event


def _save_new(answer: Answer, save: Save) -> None:
    if new := answer.entries[answer.saved :]:
        save(new)
        answer.saved += len(new)


def _keep_result(answer: Answer, save: Save, result: Message) -> None:
    answer.add_result(result)
    _save_new(answer, save)


def _leave_out(calls: Sequence[ToolCall], answer: Answer, max_turns: int) -> None:
    """Give the calls results that say that the run is over. Raises MaxTurns if the run has no text."""
    why = f"The run has used up its {max_turns} model calls (maxTurns): this call was not made."
    for call in calls:
        answer.add_result(as_message(call, ToolOutput(why, is_error=True)))
    if not answer.text:
        raise MaxTurns(
            f"The agent did not come to an answer within {max_turns} model calls (agents.*.maxTurns)."
        )


def _next_call(first: ModelCall, answer: Answer) -> ModelCall:
    """The first call with what has been said and done since. A tool that was forced has been called."""
    messages = (*first.messages, *put_in_order(answer.messages).messages)
    choice = None if first.tool_choice in (None, "auto") else "auto"
    return replace(first, messages=messages, tool_choice=choice)
