"""The agent at work: asks the model, turn after turn, and yields what happens.

Above it: `app/runs/drive.py`, which stores and publishes. Below: providers. It knows no session and no
transport.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from app.agents.fallback import ObserveFailure, call_model
from app.agents.turn import MemoryBudget, Turn, run_turn
from app.cancel import Cancel
from app.events.types import Event, RunFinished
from app.messages import Extra, Message, ToolCall, Usage
from app.providers.base import ModelCall
from app.providers.registry import Candidate

NextCall = Callable[[Turn], ModelCall | None]


def end_after(_turn: Turn) -> None:
    """The `next_call` of an agent without tools: its first turn is its last."""


class AgentTask(msgspec.Struct, frozen=True):
    """All an agent needs for one run: the models that may answer, in order of preference, and the first call.

    `next_call` gives the call that follows a turn, or None when the turn is the answer.
    """

    candidates: Sequence[Candidate]
    call: ModelCall
    observe_failure: ObserveFailure
    next_call: NextCall = end_after


class Answer:
    """What the agent has answered so far, turn by turn: in all at most `max_bytes` of memory."""

    def __init__(self, max_bytes: int) -> None:
        self.turns: list[Turn] = []
        self._budget = MemoryBudget(max_bytes)

    @property
    def text(self) -> str:
        """The text of all turns, as a client that joins the pieces of a stream has it."""
        return "".join([turn.text for turn in self.turns])

    @property
    def refusal(self) -> str | None:
        """What the model said in the last turn in place of an answer, if it refused."""
        return self.turns[-1].refusal if self.turns else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of the last turn: they are for the caller."""
        return self.turns[-1].tool_calls if self.turns else ()

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
        """One message for each turn, the last one even if it is empty."""
        return tuple(turn.as_message() for turn in self.turns if turn is self.turns[-1] or not turn.is_empty)

    @property
    def partial_messages(self) -> tuple[Message, ...]:
        """The same of an answer that failed in its last turn: of that, what is worth keeping."""
        *earlier, last = self.turns
        whole = (turn.as_message() for turn in earlier if not turn.is_empty)
        return (*whole, last.as_partial_message())

    @property
    def is_empty(self) -> bool:
        return all(turn.is_empty for turn in self.turns)

    def begin_turn(self) -> Turn:
        turn = Turn(self._budget)
        self.turns.append(turn)
        return turn


def run_agent(task: AgentTask, answer: Answer, cancel: Cancel) -> Iterator[Event]:
    """Yields what happens, and `RunFinished` last; `answer` has the turns, however the run ends."""
    call: ModelCall | None = task.call
    while call is not None:
        turn = answer.begin_turn()
        yield from run_turn(turn, call, call_model(task.candidates, call, cancel, task.observe_failure))
        call = task.next_call(turn)
    yield RunFinished(turn.reason, answer.usage, turn.tool_calls)
