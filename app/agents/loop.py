"""The agent at work: asks the model and tells what it says.

Above it: `app/runs/drive.py`, which stores and publishes. Below: providers. It knows no session and no
transport.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from app.agents.fallback import ObserveFailure, call_model
from app.cancel import Cancel
from app.errors import ToolChoiceUnmet, UpstreamError
from app.events.types import Event, ModelFinished, RunFinished, TextDelta, ToolCallDelta
from app.messages import Message, ToolCall, Usage
from app.providers.base import ModelCall
from app.providers.registry import Candidate

PIECE_WEIGHT = 100  # what a piece takes in memory besides its letters
MAX_WEIGHT = 32 * 1024 * 1024


class AgentTask(msgspec.Struct, frozen=True):
    """All an agent needs to answer once: who may answer (in order of preference), and the question."""

    candidates: Sequence[Candidate]
    call: ModelCall
    observe_failure: ObserveFailure


class Answer:
    """What the model has said so far."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._arguments: dict[int, list[str]] = {}
        self._weight = 0
        self.model: str | None = None

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        if not self._calls:
            return ()
        return tuple(
            replace(call, arguments="".join(self._arguments[index]))
            for index, call in sorted(self._calls.items())
        )

    @property
    def empty(self) -> bool:
        return not self._text and not self._calls

    def add_text(self, text: str) -> None:
        self._weigh(text)
        self._text.append(text)

    def add_tool_call(self, delta: ToolCallDelta) -> ToolCallDelta:
        """Takes a fragment up and gives it back with what a client must know: an id with each first one."""
        if delta.index not in self._calls:
            delta = replace(delta, id=delta.id or f"call_{uuid.uuid4().hex}", name=delta.name or "")
            self._calls[delta.index] = ToolCall(delta.id or "", delta.name or "", "")
            self._arguments[delta.index] = []
        elif delta.id is not None or delta.name is not None:
            delta = replace(delta, id=None, name=None)  # repeated by some servers; clients would add it up
        self._weigh(delta.arguments)
        self._arguments[delta.index].append(delta.arguments)
        return delta

    def _weigh(self, piece: str) -> None:
        """An answer is kept until all who follow it have it, so it must not grow without end."""
        self._weight += len(piece) + PIECE_WEIGHT
        if self._weight > MAX_WEIGHT:
            raise UpstreamError("The model's answer is longer than the gateway can keep.")

    def as_message(self) -> Message:
        return Message("assistant", self.text, self.tool_calls)


def run_agent(task: AgentTask, answer: Answer, cancel: Cancel) -> Iterator[Event]:
    """Yields what happens, and `RunFinished` last; `answer` holds the words, however it ends."""
    for event in call_model(task.candidates, task.call, cancel, task.observe_failure):
        if isinstance(event, TextDelta):  # first, and no `match`: this is every token's way
            answer.add_text(event.text)
            yield event
        elif isinstance(event, ToolCallDelta):
            yield answer.add_tool_call(event)
        elif isinstance(event, ModelFinished):
            answer.model = event.model
            _check_tool_choice(task.call, answer)
            yield event
            used = event.usage or estimate_usage(task.call, answer)
            yield RunFinished(event.reason, used, answer.tool_calls)
        else:
            yield event


def _check_tool_choice(call: ModelCall, answer: Answer) -> None:
    if call.tool_choice is None:
        return
    kind, _, name = call.tool_choice.partition(":")
    called = {one.name for one in answer.tool_calls}
    if kind == "required" and not called:
        raise ToolChoiceUnmet("The model called no tool although `tool_choice` requires one.")
    if name and name not in called:
        raise ToolChoiceUnmet(f"The model did not call `{name}` although `tool_choice` names it.")


def estimate_usage(call: ModelCall, answer: Answer) -> Usage:
    """Four letters a token, for providers that count nothing; marked as an estimate."""
    asked = sum(len(message.text) for message in call.messages)
    said = len(answer.text) + sum(len(one.name) + len(one.arguments) for one in answer.tool_calls)
    return Usage(_tokens(asked), _tokens(said), estimated=True)


def _tokens(letters: int) -> int:
    return (letters + 3) // 4
