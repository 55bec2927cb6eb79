"""A stored conversation that grows by reconciled requests, as the gateway's do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.messages import Message
from app.sessions.history import RunState, StoredMessage, reconcile


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def stored(*messages: Message) -> list[StoredMessage]:
    """Runs that were finished: each has a question, and what followed it."""
    run_number, kept = 0, []
    for number, message in enumerate(messages, start=1):
        run_number += message.role == "user"
        kept.append(StoredMessage(number, run_number, message))
    return kept


@dataclass
class Conversation:
    kept: list[StoredMessage] = field(default_factory=list)
    run_number: int = 0
    last_id: int = 0

    def seen(self, incoming: Sequence[Message]) -> list[Message]:
        """What the model would see for this request."""
        result = reconcile(self.kept, incoming)
        assert result.kept + result.replaced == tuple(one.id for one in self.kept)
        assert result.new == tuple(incoming)[len(incoming) - len(result.new) :]
        assert result.new
        return [one.message for one in self.kept if one.id in set(result.kept)] + list(result.new)

    def run(self, incoming: Sequence[Message], answer: str | None, state: RunState) -> list[Message]:
        """Answer a request: completely, in part (`aborted`), or not at all. Returns what the model saw."""
        seen = self.seen(incoming)
        result = reconcile(self.kept, incoming)
        self.run_number += 1
        self.kept = [one for one in self.kept if one.id in set(result.kept)]
        for message in result.new:
            self._add(message, state)
        if answer is not None:
            self._add(assistant(answer), state)
        return seen

    def _add(self, message: Message, state: RunState) -> None:
        self.last_id += 1
        partial = state != "finished" and message.role == "assistant"
        self.kept.append(
            StoredMessage(self.last_id, self.run_number, message, "partial" if partial else "complete", state)
        )
