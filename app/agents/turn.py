"""A turn: one model call, and what it answered with."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from app.errors import ToolChoiceUnmet, UpstreamError
from app.events.types import (
    ExtraDelta,
    FinishReason,
    ModelEvent,
    ModelFinished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from app.ids import new_hex
from app.messages import Extra, Message, ToolCall, Usage, json_size
from app.providers.base import ModelCall

CHARACTERS_PER_TOKEN = 4  # the usual estimate for English text
PIECE_BYTES = 150  # memory that a piece of text takes besides its characters
MAX_PARTIAL = 1024 * 1024  # characters that are stored of an answer that failed
FRAGMENT_BYTES = 100  # memory that a fragment of a tool call takes besides that of a piece
CALL_BYTES = 2900  # memory that a tool call takes besides its id, name and arguments


class MemoryBudget:
    """The memory that a run's answer may still take: it is kept until all who follow the run have it."""

    __slots__ = ("left",)

    def __init__(self, max_bytes: int) -> None:
        self.left = max_bytes

    def take(self, characters: int) -> None:
        """Raises UpstreamError when there is none left."""
        self.left -= characters + PIECE_BYTES
        if self.left < 0:
            raise UpstreamError("The model's answer is longer than the gateway can keep.")


class Turn:
    """What the model has answered so far in one call.

    A tool call arrives in fragments: the first one of an index has the call's id and name, the others add to
    its arguments. Fragments of several calls may alternate, so they are collected by index.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._arguments: dict[int, list[str]] = {}
        self.extra: Extra | None = None  # what the provider wants back with the calls
        self.ended = False
        # Known once the call has ended as the model intended:
        self.model: str | None = None
        self.reason: FinishReason = "stop"
        self.usage = Usage()

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def refusal(self) -> str | None:
        """What the model said in place of an answer, if it refused."""
        return "".join(self._refusal) or None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        if not self._calls:
            return ()
        return tuple(
            replace(call, arguments="".join(self._arguments[index]))
            for index, call in sorted(self._calls.items())
        )

    @property
    def is_empty(self) -> bool:
        return not self._text and not self._calls and not self._refusal

    def add_text(self, text: str) -> None:
        budget = self._budget
        budget.left -= len(text) + PIECE_BYTES
        if budget.left < 0:  # `take` without a call, because every token passes here; now it raises
            budget.take(0)
        self._text.append(text)

    def add_reasoning(self, text: str) -> None:
        """Count its memory: reasoning is no part of the answer."""
        self._budget.take(len(text))

    def add_refusal(self, text: str) -> None:
        self._budget.take(len(text))
        self._refusal.append(text)

    def add_tool_call(self, delta: ToolCallDelta) -> ToolCallDelta:
        """Collect a fragment; the fragment as clients expect it, with id and name on the first one only."""
        self._budget.take(FRAGMENT_BYTES + len(delta.arguments) + len(delta.id or "") + len(delta.name or ""))
        if delta.index not in self._calls:
            self._budget.take(CALL_BYTES)
            delta = replace(delta, id=delta.id or f"call_{new_hex()}", name=delta.name or "")
            self._calls[delta.index] = ToolCall(delta.id or "", delta.name or "", "")
            self._arguments[delta.index] = []
        elif delta.id is not None or delta.name is not None:
            delta = replace(delta, id=None, name=None)  # some servers repeat them; clients would concatenate
        self._arguments[delta.index].append(delta.arguments)
        if delta.extra is not None:
            self._add_to_call(delta.index, delta.extra)
        return delta

    def _add_to_call(self, index: int, extra: Extra) -> None:
        self._budget.take(json_size(extra.fields) or 0)
        call = self._calls[index]
        if call.extra is not None:
            extra = replace(extra, fields={**call.extra.fields, **extra.fields})
        self._calls[index] = replace(call, extra=extra)

    def add_extra(self, extra: Extra) -> None:
        self._budget.take(json_size(extra.fields) or 0)
        self.extra = extra

    def finish(self, call: ModelCall, event: ModelFinished) -> None:
        """Take the end of the model call. Raises ToolChoiceUnmet."""
        self.ended = True
        self.model, self.reason = event.model, event.reason
        _check_tool_choice(call, self)
        self.usage = _complete_usage(event.usage, call, self)

    def as_partial_message(self) -> Message:
        """The message of an answer that failed, which may be so long that it should not be copied whole."""
        kept: list[str] = []
        left = MAX_PARTIAL
        for piece in self._text:
            kept.append(piece[:left])
            left -= len(piece)
            if left <= 0:
                break
        return Message("assistant", "".join(kept), self.tool_calls, refusal=self.refusal)

    def as_message(self) -> Message:
        return Message("assistant", self.text, self.tool_calls, refusal=self.refusal, extra=self.extra)


def run_turn(turn: Turn, call: ModelCall, events: Iterator[ModelEvent]) -> Iterator[ModelEvent]:
    """The events of one model call, as they are collected in `turn`; `ModelFinished` is the last."""
    for event in events:
        if isinstance(event, TextDelta):  # first, and no `match`: every token passes here
            turn.add_text(event.text)
            yield event
        elif isinstance(event, ToolCallDelta):
            yield turn.add_tool_call(event)
        else:
            if isinstance(event, ReasoningDelta):
                turn.add_reasoning(event.text)
            elif isinstance(event, RefusalDelta):
                turn.add_refusal(event.text)
            elif isinstance(event, ModelFinished):
                turn.finish(call, event)
            elif isinstance(event, ExtraDelta):
                turn.add_extra(event.extra)
            yield event
    if not turn.ended:
        raise AssertionError("a provider ended its stream without ModelFinished")


def _complete_usage(usage: Usage | None, call: ModelCall, turn: Turn) -> Usage:
    """The provider's counts; one that is missing is estimated, and the usage is marked as an estimate."""
    if usage is not None and usage.prompt_tokens and (usage.completion_tokens or turn.is_empty):
        return usage
    estimate = estimate_usage(call, turn)
    if usage is None:
        return estimate
    return replace(
        usage,
        prompt_tokens=usage.prompt_tokens or estimate.prompt_tokens,
        completion_tokens=usage.completion_tokens or estimate.completion_tokens,
        estimated=True,
    )


def estimate_usage(call: ModelCall, turn: Turn) -> Usage:
    """For providers that report no usage: four characters a token, rounded up, marked as an estimate."""
    prompt = sum(len(message.text) for message in call.messages)
    answer = len(turn.text) + len(turn.refusal or "")
    completion = answer + sum(len(one.name) + len(one.arguments) for one in turn.tool_calls)
    return Usage(_tokens(prompt), _tokens(completion), estimated=True)


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)


def _check_tool_choice(call: ModelCall, turn: Turn) -> None:
    if call.tool_choice is None:
        return
    kind, _, name = call.tool_choice.partition(":")
    called = {one.name for one in turn.tool_calls}
    if kind == "required" and not called:
        raise ToolChoiceUnmet("The model called no tool although `tool_choice` requires one.")
    if name and name not in called:
        raise ToolChoiceUnmet(f"The model did not call `{name}` although `tool_choice` names it.")
