"""A run that somebody follows without having started it, and without its process: by its events alone.

They are a mirror of those of another worker's run, or made again from what is stored of one that has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.auth.principal import LOCAL_OPERATOR
from app.errors import GatewayError
from app.events.errors import error_from_code
from app.events.log import EventLog
from app.events.types import (
    Event,
    ExtraDelta,
    ModelFinished,
    RefusalDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
)
from app.messages import Extra, Usage
from app.runs.followed_elsewhere import RunElsewhere
from app.runs.followers import Leaving
from app.runs.ledger import EndedRun
from app.runs.run import RunResult
from app.sessions.remembered import RememberedRun
from app.sessions.stored import final_answer

PIECE = 16 * 1024  # characters of a text in one event
CUT = "The gateway's process ended while it was at work on this run."
RUN_ABORTED = "run_aborted"


class ReplayedRun:
    """What a transport needs of a run to answer with it. `elsewhere` is the run itself, if it goes on."""

    def __init__(self, started: RunStarted, log: EventLog, elsewhere: RunElsewhere | None = None) -> None:
        self.id = started.run_id
        self.agent_id = started.agent_id
        self.session_key = started.session_key
        self.started_at = started.started_at
        self.log = log
        self._elsewhere = elsewhere

    def follow(self, position: int = 0, wake_every: float | None = None) -> Iterator[Sequence[Event]]:
        """See `EventLog.follow`."""
        return self.log.follow(position, wake_every)

    def followed(self, _why: GatewayError | None = None) -> Leaving:
        """One more who waits."""
        return Leaving() if self._elsewhere is None else self._elsewhere.followed()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most `seconds`. True if the run has ended."""
        return self.log.wait(seconds) is not None

    def result(self) -> RunResult:
        """Wait for the end. Raises the run's error if it did not finish."""
        end = self.log.wait()
        assert end is not None  # there is no time limit
        if isinstance(end, RunFailed):
            raise end.as_error()
        return result_of(self.log, end)


def result_of(events: Sequence[Event] | EventLog, end: RunFinished) -> RunResult:
    """The answer, put together from all events of a run."""
    text: list[str] = []
    refusal: list[str] = []
    extra: Extra | None = None
    is_over = False  # the turn; of refusals and of what providers want back, the last turn's counts
    for event in events:
        if is_over and isinstance(event, TextDelta | RefusalDelta | ToolCallDelta | ExtraDelta):
            is_over, extra = False, None
            refusal.clear()
        match event:
            case TextDelta(piece):
                text.append(piece)
            case RefusalDelta(piece):
                refusal.append(piece)
            case ExtraDelta(fields):
                extra = fields
            case ModelFinished():
                is_over = True
    return RunResult("".join(text), end.reason, end.usage, end.tool_calls, "".join(refusal) or None, extra)


def replay(stored: RememberedRun) -> ReplayedRun:
    """A run that finished, with the events that its answer takes. Those of its tools are not kept."""
    started = RunStarted(stored.id, stored.agent_id, stored.session_key, stored.started_at / 1000)
    return replay_events([started, *_answer(stored)])


def replay_events(events: Sequence[Event]) -> ReplayedRun:
    """A run that finished, with all its events."""
    started = events[0]
    assert isinstance(started, RunStarted)
    return ReplayedRun(started, EventLog(events))


def _answer(stored: RememberedRun) -> Iterator[Event]:
    text, calls, refusal, extra = final_answer(stored.messages)
    for start in range(0, len(text), PIECE):
        yield TextDelta(text[start : start + PIECE])
    if refusal:
        yield RefusalDelta(refusal)
    for index, call in enumerate(calls):
        yield ToolCallDelta(index, call.id, call.name, call.arguments, call.extra)
    if calls and extra is not None:
        yield ExtraDelta(extra)
    yield RunFinished(stored.finish_reason or "stop", stored.usage or Usage(), calls)  # type: ignore[arg-type]


def as_ended(stored: RememberedRun) -> EndedRun:
    """A run that has ended, as `RunLedger` remembers one."""
    end: RunFinished | RunFailed
    text = ""
    if stored.state == "finished":
        answer = final_answer(stored.messages)
        text = answer.text or answer.refusal or ""
        reason = stored.finish_reason or "stop"
        end = RunFinished(reason, stored.usage or Usage(), answer.tool_calls)  # type: ignore[arg-type]
    else:
        message = stored.error_message or (CUT if stored.state == "interrupted" else "The run was stopped.")
        error = error_from_code(stored.error_code or RUN_ABORTED, message)
        end = RunFailed.of(error, aborted=stored.state == "aborted")
    return EndedRun(
        stored.id,
        stored.agent_id,
        stored.session_key,
        stored.source,  # type: ignore[arg-type]
        LOCAL_OPERATOR,
        stored.started_at / 1000,
        (stored.ended_at or stored.started_at) / 1000,
        end,
        text,
        stored.model,
        is_stored=True,
    )
