"""What an agent has answered so far, turn by turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.agents.turn import MemoryBudget, Turn
from app.messages import Extra, Message, ToolCall, Usage
from app.sessions.stored import MessageState, join_texts

LEFT_OUT = "[This result is left out: the run has used up the memory for its answer.]"

AnswerMessage = tuple[Message, MessageState]


class Answer:
    """All turns of one run with the results of their calls: in all at most `max_bytes` of memory.

    `saved` is how many of its `entries` are stored already.
    """

    def __init__(self, max_bytes: int) -> None:
        self.turns: list[Turn] = []
        self.saved = 0
        self._closed: list[AnswerMessage] = []  # of the turns before the open one
        self._is_open = False  # whether the model may add to the last turn
        self.budget = MemoryBudget(max_bytes)

    @property
    def text(self) -> str:
        """The text of all turns, as a client that joins the pieces of a stream has it."""
        if len(self.turns) == 1:
            return self.turns[0].text
        return join_texts(turn.text for turn in self.turns)

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
        return tuple(message for message, _ in self.entries)

    @property
    def entries(self) -> list[AnswerMessage]:
        """The messages, each with the state to store it with."""
        if not self._is_open:
            return self._closed
        return [*self._closed, (self.turns[-1].as_message(), "complete")]

    @property
    def failed_entries(self) -> list[AnswerMessage]:
        """The entries of an answer that failed: of the last turn, what is worth keeping."""
        if not self._is_open or (self._closed and self.turns[-1].is_empty):
            return self._closed
        return [*self._closed, (self.turns[-1].as_partial_message(), "partial")]

    @property
    def is_empty(self) -> bool:
        return all(turn.is_empty for turn in self.turns)

    def restore(self, turns: Sequence[Turn], entries: Sequence[AnswerMessage]) -> None:
        """Begin with the settled steps of an earlier attempt."""
        self.turns.extend(turns)
        self._closed.extend(entries)
        self.saved = len(entries)

    def begin_turn(self, is_own: Callable[[str], bool] | None = None) -> Turn:
        turn = Turn(self.budget, is_own)
        self.turns.append(turn)
        self._is_open = True
        return turn

    def close_turn(self) -> None:
        """The model has ended its turn with calls of the agent's tools: now their results follow."""
        self._closed.append((self.turns[-1].as_message(), "step"))
        self._is_open = False

    def add_result(self, result: Message) -> None:
        """Add the result of a call of the turn; a note in its place, if there is no memory left for it."""
        size = 2 * len(result.text)  # the event has it, too
        if not self.budget.take_if_left(size + sum(len(image.data) for image in result.images)):
            result = result._replace(content=LEFT_OUT)
        self._closed.append((result, "step"))
