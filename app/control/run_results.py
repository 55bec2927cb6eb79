"""What a run that finished has answered, put together from its events or from its stored messages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from app.control.run_views import RunView
from app.events.types import (
    Event,
    ExtraDelta,
    FinishReason,
    ModelFinished,
    RefusalDelta,
    RunFinished,
    TextDelta,
    ToolCalled,
)
from app.messages import Extra, Usage
from app.runs.run import RunResult
from app.sessions.stored import StoredMessage, as_answered


def result_of_messages(run: RunView, messages: Sequence[StoredMessage]) -> RunResult | None:
    """The result of a stored run; None if it has no answer, or that was taken out of its session since."""
    answered, _ = as_answered(messages)
    last = answered[-1].message if answered else None
    reason = run.finish_reason
    if last is None or last.role != "assistant" or reason not in get_args(FinishReason):
        return None
    usage = run.usage or Usage()
    return RunResult(last.text, reason, usage, last.tool_calls, last.refusal, messages[-1].message.extra)  # type: ignore[arg-type]  # it is one of them


def result_of_events(events: Iterable[Event]) -> RunResult | None:
    """The result that all events of a run tell; None if it did not finish."""
    texts: list[str] = []
    refusals: list[str] = []
    extra: Extra | None = None
    end: RunFinished | None = None
    for event in events:
        match event:
            case TextDelta(text):
                texts.append(text)
            case RefusalDelta(text):
                refusals.append(text)
            case ExtraDelta(extra):
                pass
            case ToolCalled() | ModelFinished(reason="tool_calls"):
                refusals.clear()  # only that of the last turn counts
            case RunFinished():
                end = event
    if end is None:
        return None
    refusal = "".join(refusals) or None
    return RunResult("".join(texts), end.reason, end.usage, end.tool_calls, refusal, extra)
