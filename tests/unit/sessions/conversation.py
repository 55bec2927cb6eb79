"""A stored conversation that grows by reconciled requests, as the gateway's do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.messages import Message, ToolCall
from app.sessions.history import reconcile
from app.sessions.stored import MessageState, RunState, StoredMessage


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def used_tool(number: int, text: str = "") -> list[Message]:
    """A call of one of the agent's tools, after some text, and its result."""
    call = ToolCall(f"own_{number}", "read", "{}")
    result = Message("tool", f"result {number}", tool_call_id=call.id, name=call.name)
    return [Message("assistant", text, (call,)), result]


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

    def run(
        self, incoming: Sequence[Message], answer: str | None, state: RunState, steps: Sequence[str] = ()
    ) -> list[Message]:
        """Answer a request: completely, in part (`aborted`), or not at all. Returns what the model saw.

        `steps` are texts, after each of which the agent uses a tool.
        """
        seen = self.seen(incoming)
        result = reconcile(self.kept, incoming)
        self.run_number += 1
        self.kept = [one for one in self.kept if one.id in set(result.kept)]
        for message in result.new:
            self._add(message, state)
        for number, text in enumerate(steps):
            for message in used_tool(number, text):
                self._add(message, state, is_step=True)
        if answer is not None:
            self._add(assistant(answer), state)
        return seen

    def run_to_client_call(self, incoming: Sequence[Message], text: str, call: ToolCall) -> list[Message]:
        """Answer a request with a turn that calls a tool of the agent and one of its caller."""
        seen = self.run(incoming, None, "finished")
        (own, result) = used_tool(self.run_number, text)
        self._add(own._replace(tool_calls=(*own.tool_calls, call)), "finished", is_step=True)
        self._add(result, "finished", is_step=True)
        return seen

    def _add(self, message: Message, state: RunState, *, is_step: bool = False) -> None:
        self.last_id += 1
        kept: MessageState = "complete"
        if is_step:
            kept = "step"
        elif state != "finished" and message.role == "assistant":
            kept = "partial"
        self.kept.append(StoredMessage(self.last_id, self.run_number, message, kept, state))
