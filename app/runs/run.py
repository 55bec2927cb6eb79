"""A run: one request being answered."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from app.agents.answer import Answer
from app.cancel import Cancel
from app.errors import GatewayError
from app.events.log import EventLog
from app.events.types import Event, FinishReason, RunFailed, RunStarted, ToolReturned
from app.ids import new_run_id
from app.messages import Extra, ToolCall, Usage
from app.runs.earlier import NO_EARLIER
from app.runs.followers import Follower, IsFollowed, by_nobody
from app.runs.plan import RunPlan
from app.runs.progress import Progress
from app.runs.request import RunRequest
from app.sessions.keys import is_visible, owned_run_id, shown_run_id


class RunResult(msgspec.Struct, frozen=True):
    """A run that finished, as one piece."""

    text: str
    reason: FinishReason
    usage: Usage
    tool_calls: tuple[ToolCall, ...]
    refusal: str | None = None
    extra: Extra | None = None


class ToolUse(NamedTuple):
    """One call of a tool that has ended."""

    name: str
    seconds: float
    failed: bool


class InSession(Protocol):
    @property
    def session_key(self) -> str: ...


R = TypeVar("R", bound=InSession)


def find_visible(runs: Mapping[str, R], run_id: str, owner: str | None) -> R | None:
    """The run that `owner` knows as `run_id`: one that it named so, or another one in its sessions; the
    operator (None) may see all.
    """
    if owner is None:
        return runs.get(run_id)
    if (own := runs.get(owned_run_id(run_id, owner))) is not None:
        return own
    other = runs.get(run_id)
    return other if other is not None and is_visible(other.session_key, owner) else None


class PausedClock:
    """How long something has stood still; pauses may overlap."""

    def __init__(self) -> None:
        self.paused_seconds = 0.0
        self._pauses = 0
        self._since = 0.0

    @property
    def stands_still(self) -> bool:
        return self._pauses > 0

    def pause(self) -> Callable[[], None]:
        """Begin a pause. Returns a function that ends it, once."""
        if not self._pauses:
            self._since = time.monotonic()
        self._pauses += 1
        ended = False

        def end() -> None:
            nonlocal ended
            if ended:
                return
            ended = True
            self._pauses -= 1
            if not self._pauses:
                self.paused_seconds += time.monotonic() - self._since

        return end


class Run:
    """Returned by `RunService.start`. Its holder may follow it and stop it."""

    def __init__(self, request: RunRequest, plan: RunPlan, answer: Answer) -> None:
        self.id = request.run_id or new_run_id(request.id_prefix)
        self.request = request
        self.plan = plan
        self.agent = plan.agent
        self.answer = answer
        self.cancel = Cancel()
        self.log = EventLog()
        self.started_at = time.time()
        self.fence = 1  # what its writes to the store carry
        self.earlier = NO_EARLIER  # what another worker has done of it
        # On the monotonic clock, None until it happens: accepted, out of the queue, first output, the end.
        self.accepted_at = time.monotonic()
        self.dequeued_at: float | None = None
        self.first_output_at: float | None = None
        self.ended_at: float | None = None
        self.model: str | None = None  # `provider/model` that answered, once that is known
        self.followers = 0  # those who have called `followed` and not left since
        self.is_followed_elsewhere: IsFollowed = by_nobody
        self.log_finish = request.log_finish
        self.tools_used: list[ToolUse] = []
        self._progress: Progress | None = None
        self._clock = PausedClock()
        self._clean_ups: list[Callable[[], object]] = []

    @property
    def timeout_seconds(self) -> float:
        return min(self.request.timeout_seconds or self.agent.timeout_seconds, self.agent.timeout_seconds)

    @property
    def shown_id(self) -> str:
        """The id by which clients know the run."""
        return shown_run_id(self.id, self.session_key)

    @property
    def agent_id(self) -> str:
        return self.agent.id

    @property
    def session_key(self) -> str:
        return self.request.route.session_key

    @property
    def ended(self) -> bool:
        return self.log.end is not None

    @property
    def begun(self) -> RunStarted:
        """Its first event."""
        request, agent = self.request, self.agent
        return RunStarted(
            self.id,
            agent.id,
            self.session_key,
            self.started_at,
            request.starter,
            self.plan.candidates[0].name,
            request.verbose or agent.verbose_default,
            request.reasoning or agent.reasoning_default,
        )

    @property
    def progress(self) -> Progress:
        """What its events say of it until now."""
        if self._progress is None:
            self._progress = Progress()
        self._progress.read(self.log.batch(self._progress.count, sys.maxsize))
        return self._progress

    def publish(self, event: Event) -> None:
        """Add an event to the log; one that comes after the run's end is of no interest any more."""
        if self.ended:
            return
        self.log.append(event)
        if isinstance(event, ToolReturned):
            self.tools_used.append(ToolUse(event.name, event.seconds, event.is_error))

    def pause(self) -> Callable[[], None]:
        """Stop the run's clock. Returns a function that starts it again."""
        return self._clock.pause()

    def at_end(self, clean_up: Callable[[], object]) -> None:
        """Call `clean_up` when the run has ended."""
        self._clean_ups.append(clean_up)

    def clean_up(self) -> None:
        """To be called once the last event is published."""
        while self._clean_ups:
            self._clean_ups.pop()()

    def is_overdue(self, now: float) -> bool:
        """Whether the run has used up its time, by the monotonic clock; not while its clock stands still."""
        if self.dequeued_at is None or self._clock.stands_still:
            return False
        return now - self.dequeued_at - self._clock.paused_seconds > self.timeout_seconds

    def follow(self, position: int = 0, wake_every: float | None = None) -> Iterator[Sequence[Event]]:
        """See `EventLog.follow`."""
        return self.log.follow(position, wake_every)

    def followed(self, why: GatewayError | None = None) -> Follower:
        """Count one more who waits for the run, until it leaves. `why` is said of a run that is aborted as
        the last one has left (`RunRequest.on_disconnect`).
        """
        return Follower(self, why)

    def abort(self, error: GatewayError) -> bool:
        """Ask the run to stop because of `error`. False if it has ended or is stopping already."""
        return not self.ended and self.cancel.cancel(error)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most `seconds`. True if the run has ended."""
        return self.log.wait(seconds) is not None

    def result(self) -> RunResult:
        """Wait for the end. Raises the run's error if it did not finish."""
        end = self.log.wait()
        assert end is not None  # there is no time limit
        if isinstance(end, RunFailed):
            raise end.as_error()
        answer = self.answer
        return RunResult(answer.text, end.reason, end.usage, end.tool_calls, answer.refusal, answer.extra)
