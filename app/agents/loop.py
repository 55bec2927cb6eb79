"""The agent at work: asks the model, turn after turn, and yields what happens.

Above it: `app/runs/drive.py`, which stores and publishes. Below: providers and tools. It knows no session and
no transport.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from app.agents.answer import Answer, AnswerMessage
from app.agents.conversation import put_in_order
from app.agents.fallback import ObserveFailure, call_model
from app.agents.loop_detection import LoopDetector
from app.agents.resumption import settle
from app.agents.tool_calls import AgentTools, as_message, with_note
from app.agents.turn import run_turn
from app.cancel import Cancel
from app.errors import GatewayError, MaxTurns, ToolLoop
from app.events.types import Event, ModelEvent, RunFinished, TextDelta
from app.logs.lines import log_event
from app.messages import Message, ToolCall
from app.providers.base import ModelCall
from app.providers.registry import Candidate
from app.sessions.stored import separator
from app.tools.base import ToolOutput

logger = logging.getLogger("app.agents")

Save = Callable[[Sequence[AnswerMessage]], object]


class AgentTask(msgspec.Struct, frozen=True):
    """All an agent needs for one run: the models that may answer, in order of preference, and the first call.

    `tools` None: it has none, and every call is its caller's. `max_turns` bounds the model calls.
    `stops_loops`: whether an agent that goes round in circles is stopped. `not_made` are the ids of calls in
    an earlier attempt's last turn that were certainly not made.
    """

    candidates: Sequence[Candidate]
    call: ModelCall
    observe_failure: ObserveFailure
    tools: AgentTools | None = None
    max_turns: int = 1
    stops_loops: bool = True
    not_made: frozenset[str] = frozenset()


def keep_nothing(_entries: Sequence[AnswerMessage]) -> None:
    """The `Save` of a run that stores nothing."""


def run_agent(task: AgentTask, answer: Answer, cancel: Cancel, save: Save = keep_nothing) -> Iterator[Event]:
    """Yields what happens, and `RunFinished` last; `answer` has the turns, however the run ends.

    An answer that has turns already is that of a run that was cut: it goes on behind them.

    `save` is called with the new entries of the answer, before and after each of its tools works.
    Raises MaxTurns, or ToolLoop, if nothing has been said when the turns are used up, or when the agent goes
    round in circles.
    """
    tools, call = task.tools, task.call
    keep = (
        None if tools is None else _Results(tools, answer, save, LoopDetector() if task.stops_loops else None)
    )
    if answer.turns:
        turn = answer.turns[-1]
        if tools is not None and keep is not None:
            settle(tools, answer, keep, task.not_made)
        if turn.client_calls:
            yield RunFinished("tool_calls", answer.usage, turn.client_calls)
            return
        call = _next_call(task.call, answer)
    while True:
        turn = answer.begin_turn(None if tools is None else tools.is_own)
        events = run_turn(turn, call, call_model(task.candidates, call, cancel, task.observe_failure))
        yield from events if len(answer.turns) == 1 else _set_apart(events, answer)
        own = turn.own_calls
        if tools is None or keep is None or not own:
            break
        answer.close_turn()
        if (error := _reason_to_stop(task, answer, keep)) is not None:
            _leave_out(own, answer, error)
            yield RunFinished("length", answer.usage)
            return
        _save_new(answer, save)
        answered_by = turn.model or task.candidates[0].name
        (tools if answered_by == task.candidates[0].name else tools.beneath(answered_by)).run(own, keep)
        if turn.client_calls:
            break
        call = _next_call(task.call, answer)
    yield RunFinished(turn.reason, answer.usage, turn.client_calls)


class _Results:
    """Keeps the results of calls, stores them, and adds what the model should know of a loop."""

    def __init__(self, tools: AgentTools, answer: Answer, save: Save, detector: LoopDetector | None) -> None:
        self._tools = tools
        self._answer = answer
        self._save = save
        self.detector = detector
        self.run_id = tools.context.run_id

    def __call__(self, call: ToolCall, result: Message) -> None:
        if self.detector is not None:
            exists = self._tools.find(call.name) is not None
            if note := self.detector.warn_after(call, result.text, exists=exists):
                result = with_note(result, note)
        self._answer.add_result(result)
        _save_new(self._answer, self._save)


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


def _reason_to_stop(task: AgentTask, answer: Answer, keep: _Results) -> MaxTurns | ToolLoop | None:
    """Why the calls of the last turn should not be made any more, if there is a reason."""
    turn = answer.turns[-1]
    if keep.detector is not None and (why := keep.detector.stop_before(turn.own_calls)) is not None:
        log_event(logger, logging.WARNING, "agent stopped in a loop", reason=why, run_id=keep.run_id)
        return ToolLoop(f"The agent was stopped because it went round in circles: {why}")
    if len(answer.turns) >= task.max_turns and not turn.client_calls:
        return MaxTurns(
            f"The agent did not come to an answer within {task.max_turns} model calls (agents.*.maxTurns)."
        )
    return None


def _leave_out(calls: Sequence[ToolCall], answer: Answer, why: GatewayError) -> None:
    """Give the calls results that say that they were not made. Raises `why` if the run has no text."""
    for call in calls:
        text = f"This call was not made, and the run ended. {why.message}"
        answer.add_result(as_message(call, ToolOutput(text, is_error=True)))
    if not answer.text:
        raise why


def _next_call(first: ModelCall, answer: Answer) -> ModelCall:
    """The first call with what has been said and done since. A tool that was forced has been called."""
    start = 1 if first.messages[0].role == "system" else 0
    ordered = put_in_order((*first.messages[start:], *answer.messages)).messages
    choice = None if first.tool_choice in (None, "auto") else "auto"
    return replace(first, messages=(*first.messages[:start], *ordered), tool_choice=choice)
