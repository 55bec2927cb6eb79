"""Ended runs, remembered for a while: repeated requests and late questions are answered from here."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from app.auth.principal import Principal
from app.events.types import RunFailed, RunFinished
from app.runs.request import Source
from app.runs.run import Run, find_visible
from app.sessions.keys import shown_run_id

MAX_CHARACTERS = 32 * 1024 * 1024  # of all answers together


class EndedRun(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of a run. Times are seconds since 1970; `model` is `provider/model`.

    `text` is the answer, "" if the run failed. `is_stored`: the database has the run. Plain data, of which
    there may be a thousand: the garbage collector need not look at it.
    """

    id: str
    agent_id: str
    session_key: str
    source: Source
    principal: Principal
    started_at: float
    ended_at: float
    end: RunFinished | RunFailed
    text: str
    model: str | None
    is_stored: bool

    @property
    def is_answered(self) -> bool:
        """Whether it has an answer, which stays as it is; a run that was cut may be run again."""
        return isinstance(self.end, RunFinished)

    @property
    def shown_id(self) -> str:
        """The id by which clients know the run."""
        return shown_run_id(self.id, self.session_key)


class RunLedger:
    """The newest runs that have ended: at most `max_runs` of them, none longer than `keep_seconds`."""

    def __init__(
        self,
        max_runs: int,
        keep_seconds: float,
        max_characters: int = MAX_CHARACTERS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_runs = max_runs
        self._keep_seconds = keep_seconds
        self._max_characters = max_characters
        self._clock = clock
        self._runs: OrderedDict[str, EndedRun] = OrderedDict()  # by id, in the order they ended
        self._characters = 0

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, run: Run, end: RunFinished | RunFailed) -> None:
        """Remember a run that ends with that event."""
        request = run.request
        ended = EndedRun(
            run.id,
            run.agent.id,
            run.session_key,
            request.source,
            request.principal,
            run.started_at,
            self._clock(),
            end,
            "" if isinstance(end, RunFailed) else run.answer.text or run.answer.refusal or "",
            run.model,
            request.is_stored,
        )
        self._remove(run.id)
        self._runs[run.id] = ended
        self._characters += len(ended.text)
        self._forget(ended.ended_at)

    def get(self, run_id: str, owner: str | None = None) -> EndedRun | None:
        """The run if it has ended and is remembered; only if `owner` may see it, if one is given."""
        found = find_visible(self._runs, run_id, owner)
        return None if found is None or self._is_old(found, self._clock()) else found

    def all(self) -> Sequence[EndedRun]:
        """Those that are remembered, in the order they ended."""
        now = self._clock()
        return [one for one in self._runs.values() if not self._is_old(one, now)]

    def _forget(self, now: float) -> None:
        while self._runs:
            oldest = next(iter(self._runs.values()))
            is_full = len(self._runs) > self._max_runs or self._characters > self._max_characters
            if not is_full and not self._is_old(oldest, now):
                return
            self._remove(oldest.id)

    def _is_old(self, run: EndedRun, now: float) -> bool:
        return now - run.ended_at > self._keep_seconds

    def _remove(self, run_id: str) -> None:
        removed = self._runs.pop(run_id, None)
        if removed is not None:
            self._characters -= len(removed.text)
