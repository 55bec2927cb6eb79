"""The agent at work: asks the model, turn after turn, and yields what happens.

Above it: `app/runs/drive.py`, which stores and publishes. Below: providers and tools. It knows no session and
no transport.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from app.agents.conversation import put_in_order
from app.agents.fallback import ObserveFailure, call_model
from app.agents.tool_calls import AgentTools, as_message
from app.agents.turn import MemoryBudget, Turn, run_turn
from app.cancel import Cancel
from app.errors import MaxTurns
from app.events.types import Event, ModelEvent, RunFinished, TextDelta
from app.messages import Extra, Message, ToolCall, Usage
from app.providers.base import ModelCall
from app.providers.registry import Candidate
from app.sessions.history import MessageState
from app.tools.base import ToolOutput

SEPARATOR = "\n\n"  # between the texts of two turns, where neither brings a line end of its own

Save = Callable[[Sequence[Message]], object]


class AgentTask(msgspec.Struct, frozen=True):
    """All an agent needs for one run: the models that may answer, in order of preference, and the first call.

    `tools` None: it has none, and every call is its caller's. `max_turns` bounds the model calls.
    """

    candidates: Sequence[Candidate]
    call: ModelCall
    observe_failure: ObserveFailure
    tools: AgentTools | None = None
    max_turns: int = 1


class Answer:
    """What the agent has answered so far, turn by turn: in all at most `max_bytes` of memory.

    `saved` is how many of its `messages` are stored already.
    """

    def __init__(self, max_bytes: int) -> None:
        self.turns: list[Turn] = []
        self.saved = 0
        self._results: list[list[Message]] = []  # of each turn's calls
        self._budget = MemoryBudget(max_bytes)

    @property
    def text(self) -> str:
        """The text of all turns, as a client that joins the pieces of a stream has it."""
        if len(self.turns) == 1:
            return self.turns[0].text
        joined = ""
        for turn in self.turns:
            if text := turn.text:
                joined += separator(joined, text) + text
        return joined

    @property
    def refusal(self) -> str | None:
        """What the model said in the last turn in place of an answer, if it refused."""
        return self.turns[-1].refusal if self.turns else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of the last turn that are for the caller."""
        return self.turns[-1].client_calls if self.turns else ()

    @property
    def extra(self) -> Extra | None:
        """What the provider of the last turn wants back with its calls."""
        return self.turns[-1].extra if self.turns else None

    @property
    def model(self) -> str | None:
        """`provider/model` that answered last, once that is known."""
        return next((turn.model for turn in reversed(self.turns) if turn.model is not None), None)

    @property
    def usage(self) -> Usage:
        """The sum over the turns that have ended."""
        if len(self.turns) == 1:
            return self.turns[0].usage
        return sum((turn.usage for turn in self.turns), Usage())

    @property
    def messages(self) -> tuple[Message, ...]:
        """One message for each turn, the last one even if it is empty, and the results of its calls."""
        found: list[Message] = []
        for turn, results in zip(self.turns, self._results, strict=True):
            if turn is self.turns[-1] or not turn.is_empty:
                found.append(turn.as_message())
            found += results
        return tuple(found)

    @property
    def partial_messages(self) -> tuple[tuple[Message, MessageState], ...]:
        """The same of an answer that failed, each with its state: of the last turn, what is worth keeping."""
        found: list[tuple[Message, MessageState]] = []
        for turn, results in zip(self.turns, self._results, strict=True):
            if turn is self.turns[-1] and not results:
                if not turn.is_empty or not found:
                    found.append((turn.as_partial_message(), "partial"))
            elif not turn.is_empty:
                found.append((turn.as_message(), "complete"))
            found += [(result, "complete") for result in results]
        return tuple(found)

    @property
    def is_empty(self) -> bool:
        return all(turn.is_empty for turn in self.turns)

    def begin_turn(self, is_own: Callable[[str], bool] | None = None) -> Turn:
        turn = Turn(self._budget, is_own)
        self.turns.append(turn)
        self._results.append([])
        return turn

    def add_result(self, result: Message) -> None:
        """Add the result of a call of the last turn."""
        self._budget.take(len(result.text))
        self._results[-1].append(result)


def keep_nothing(_messages: Sequence[Message]) -> None:
    """The `Save` of a run that stores nothing."""


def separator(before: str, after: str) -> str:
    """What stands between the texts of two turns, so that they do not run into each other."""
    return "" if not before or before[-1].isspace() or after[0].isspace() else SEPARATOR


def run_agent(task: AgentTask, answer: Answer, cancel: Cancel, save: Save = keep_nothing) -> Iterator[Event]:
    """Yields what happens, and `RunFinished` last; `answer` has the turns, however the run ends.

    `save` is called with the messages of the answer that are complete, before and after its tools work.
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
        if len(answer.turns) >= task.max_turns:
            _leave_out(own, answer, task.max_turns)
            yield RunFinished("length", answer.usage)
            return
        _save_new(answer, save)
        try:
            tools.run(own, answer.add_result)
        finally:
            _save_new(answer, save)
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
    if new := answer.messages[answer.saved :]:
        save(new)
        answer.saved += len(new)


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
