"""A turn: one model call, and what it answered with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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

    def take_if_left(self, characters: int) -> bool:
        """`take`, unless there is not so much left: then nothing is taken, and the answer is False."""
        enough = self.left >= characters + PIECE_BYTES
        if enough:
            self.take(characters)
        return enough


class Turn:
    """What the model has answered so far in one call.

    A tool call arrives in fragments: the first one of an index has the call's id and name, the others add to
    its arguments. Fragments of several calls may alternate, so they are collected by index.
    """

    def __init__(self, budget: MemoryBudget, is_own: Callable[[str], bool] | None = None) -> None:
        """`is_own`: whether the agent itself answers calls of that name. None: all are for the caller."""
        self._budget = budget
        self._is_own = is_own
        self._client_indices: dict[int, int] = {}  # of the caller's calls: the model's index -> theirs
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
    def own_calls(self) -> tuple[ToolCall, ...]:
        """The calls that the agent answers itself."""
        is_own = self._is_own
        return () if is_own is None else tuple(call for call in self.tool_calls if is_own(call.name))

    @property
    def client_calls(self) -> tuple[ToolCall, ...]:
        """The calls that are for the caller of the run."""
        is_own = self._is_own
        calls = self.tool_calls
        return calls if is_own is None else tuple(call for call in calls if not is_own(call.name))

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

    def add_tool_call(self, delta: ToolCallDelta) -> ToolCallDelta | None:
        """Collect a fragment; the fragment as clients expect it, with id and name on the first one only.

        None if it belongs to a call that the agent answers itself.
        """
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
        return delta if self._is_own is None else self._for_client(delta, self._is_own)

    def _for_client(self, delta: ToolCallDelta, is_own: Callable[[str], bool]) -> ToolCallDelta | None:
        if is_own(self._calls[delta.index].name):
            return None
        index = self._client_indices.setdefault(delta.index, len(self._client_indices))
        return replace(delta, index=index)

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
            if (delta := turn.add_tool_call(event)) is not None:
                yield delta
        elif _take(turn, call, event):
            yield event
    if not turn.ended:
        raise AssertionError("a provider ended its stream without ModelFinished")


def _take(turn: Turn, call: ModelCall, event: ModelEvent) -> bool:
    """Take an event without text or calls of tools. Whether it is for those who follow the run, too."""
    match event:
        case ReasoningDelta(text):
            turn.add_reasoning(text)
        case RefusalDelta(text):
            turn.add_refusal(text)
        case ModelFinished():
            turn.finish(call, event)
        case ExtraDelta(extra):
            turn.add_extra(extra)
            return bool(turn.client_calls)  # what goes back with the agent's own calls is for nobody else
    return True


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
