"""What becomes of the calls that a worker had not brought to an end when it died (docs/runs.md). Pure but for
the calls that are made again.

Of the calls without a result only the first one, or the first few if they run beside each other, can have
been at work: all others wait for those. A call that only reads, or that waited for somebody's approval, has
had no effect and is made again. Of any other nobody knows; the model is told so, and that the calls behind it
were not made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.agents.answer import Answer, AnswerMessage
from app.agents.tool_calls import AgentTools, as_message
from app.agents.turn import Turn
from app.events.types import ToolCallDelta, ToolCalled
from app.messages import Message, ToolCall, Usage
from app.sessions.orphans import INTERRUPTED
from app.tools.base import ToolOutput
from app.tools.display import returned

NOT_MADE = "Not made: the gateway stopped before this call. Make it again if it is still wanted."

Keep = Callable[[ToolCall, Message], object]


def restore(
    answer: Answer,
    entries: Sequence[AnswerMessage],
    usage: Usage,
    model: str | None,
    is_own: Callable[[str], bool] | None,
) -> None:
    """Begin the answer with the settled steps of an earlier attempt, which have used `usage` in all."""
    turns = []
    for message, _ in entries:
        if message.role == "assistant":
            turns.append(_turn(answer, message, is_own))
        else:
            answer.budget.take_if_left(2 * len(message.text))
    if turns:
        turns[-1].usage, turns[-1].model = usage, model
    answer.restore(turns, entries)


def _turn(answer: Answer, message: Message, is_own: Callable[[str], bool] | None) -> Turn:
    turn = Turn(answer.budget, is_own)
    if message.text:
        turn.add_text(message.text)
    for index, call in enumerate(message.tool_calls):
        turn.add_tool_call(ToolCallDelta(index, call.id, call.name, call.arguments, call.extra))
    turn.extra, turn.reason, turn.ended = message.extra, "tool_calls", True
    return turn


def settle(tools: AgentTools, answer: Answer, keep: Keep, not_made: frozenset[str]) -> None:
    """Give each call of the last turn that has none a result, and `keep` it.

    `not_made` are the ids of calls that waited for an approval. Raises what `AgentTools.run` raises.
    """
    calls = unfinished(answer)
    if not calls:
        return
    started = _started(tools, calls)
    in_doubt = {call.id for call in calls[:started] if not _is_harmless(tools, call, not_made)}
    if not in_doubt:
        tools.run(calls, keep)
        return
    for place, call in enumerate(calls):
        if call.id in in_doubt:
            _report(tools, call, INTERRUPTED, keep)
        elif place < started:
            tools.run([call], keep)
        else:
            _report(tools, call, NOT_MADE, keep)


def unfinished(answer: Answer) -> Sequence[ToolCall]:
    """The agent's own calls in the last turn that have no result."""
    done = {message.tool_call_id for message in answer.messages if message.role == "tool"}
    return [call for call in answer.turns[-1].own_calls if call.id not in done]


def _started(tools: AgentTools, calls: Sequence[ToolCall]) -> int:
    """How many of the first calls may have been at work."""
    count = 0
    for call in calls:
        tool = tools.find(call.name)
        if tool is None or not tool.is_parallel:
            break
        count += 1
    return max(count, 1)


def _is_harmless(tools: AgentTools, call: ToolCall, not_made: frozenset[str]) -> bool:
    tool = tools.find(call.name)
    return call.id in not_made or (tool is not None and tool.only_reads)


def _report(tools: AgentTools, call: ToolCall, text: str, keep: Keep) -> None:
    output = ToolOutput(text, is_error=True)
    tools.context.publish(ToolCalled(call))
    tools.context.publish(returned(call, output, 0.0))
    keep(call, as_message(call, output))
