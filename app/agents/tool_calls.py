"""The calls of one turn: run in their order, those that may run beside each other together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import msgspec
from msgspec.structs import replace

from app.messages import ImagePart, Message, TextPart, ToolCall
from app.tools.base import RunContext, Tool, ToolOutput
from app.tools.call import StartedCall, not_found

MAX_PARALLEL = 8
MAX_CALLS = 100  # of one turn; the others are not made

FindTool = Callable[[str], Tool | None]


class AgentTools(msgspec.Struct, frozen=True):
    """The tools of a run. `find` looks a tool up when it is called: it may have been denied since.

    `client_names` are the caller's own tools: calls of these are not ours. `find_beneath` gives the `find` of
    another model than the first, `provider/model`: policies may differ between them.
    """

    context: RunContext
    find: FindTool
    client_names: frozenset[str] = frozenset()
    find_beneath: Callable[[str], FindTool] | None = None

    def is_own(self, name: str) -> bool:
        """Whether a call of that name is answered here. A name that nobody knows is: with an error."""
        return name not in self.client_names

    def beneath(self, model: str) -> AgentTools:
        """The same tools, but only those that this model may use, too."""
        if self.find_beneath is None:
            return self
        find, find_beneath = self.find, self.find_beneath(model)
        return replace(self, find=lambda name: find(name) if find_beneath(name) is not None else None)

    def run(self, calls: Sequence[ToolCall], keep: Callable[[ToolCall, Message], object]) -> None:
        """Run the calls and `keep` the result of each, in order.

        Raises the run's error soon after the run is cancelled; each call has a result also then.
        """
        left = list(calls)
        try:
            for group in self._groups(calls[:MAX_CALLS]):
                started = [(call, self._start(call)) for call in group]
                for call, waiting in started:
                    output = waiting if isinstance(waiting, ToolOutput) else waiting.wait()
                    keep(call, as_message(call, output))
                    left.remove(call)
        finally:
            for call in left:
                keep(call, as_message(call, ToolOutput(self._why_left(), is_error=True)))

    def _why_left(self) -> str:
        """What the model is told of a call that has no result."""
        if (error := self.context.cancel.error) is not None:
            return f"Aborted before it had a result. {error.message} It may or may not have taken effect."
        return f"This call was not made: a turn may have at most {MAX_CALLS} calls."

    def _groups(self, calls: Sequence[ToolCall]) -> Iterator[list[ToolCall]]:
        def is_parallel(call: ToolCall) -> bool:
            tool = self.find(call.name)
            return tool is not None and tool.is_parallel

        for parallel, group in groupby(calls, is_parallel):
            some, size = list(group), MAX_PARALLEL if parallel else 1
            for start in range(0, len(some), size):
                yield some[start : start + size]

    def _start(self, call: ToolCall) -> StartedCall | ToolOutput:
        tool = self.find(call.name)
        if tool is None:
            return not_found(call, self.context)
        return StartedCall(tool, call, self.context)


def as_message(call: ToolCall, output: ToolOutput) -> Message:
    """The result as the message that follows the call."""
    content: str | tuple[TextPart | ImagePart, ...] = output.text
    if output.images:
        content = (TextPart(output.text), *output.images)
    return Message("tool", content, tool_call_id=call.id, name=call.name)


def with_note(result: Message, note: str) -> Message:
    """The result with a note of ours behind its text."""
    if isinstance(result.content, str):
        return result._replace(content=f"{result.content}\n\n{note}")
    return result._replace(content=(*result.content, TextPart(note)))
