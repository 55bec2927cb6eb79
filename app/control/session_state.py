"""What goes on in sessions now, whichever worker runs it (docs/sessions.md#what-goes-on-in-a-session)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Literal, get_args

from app.errors import ClusterUnavailable
from app.events.log import EventLog
from app.runs.service import RunService
from app.sessions.browsing import SessionPages
from app.sessions.keys import shown_run_id
from app.sessions.rows import OpenCall, UnendedRun
from app.tools.approvals.record import Approval
from app.tools.approvals.service import ApprovalService
from app.tools.questions.service import QuestionService

Phase = Literal["idle", "queued", "running", "waiting_for_approval", "waiting_for_answer"]
PHASES: tuple[Phase, ...] = get_args(Phase)

_key = attrgetter("key")


@dataclass(frozen=True, slots=True)
class GoingOn:
    """A run that has not ended. `id` is the one that clients know, `is_queued`: it waits for its turn."""

    id: str
    started_at: int
    is_queued: bool


@dataclass(frozen=True, slots=True)
class SessionState:
    """`calls` are those of the agent's tools that have no result yet; `approvals` wait for somebody.

    `last_event_id` is the number of the newest event of the run `events_of`: whoever follows that run from
    there on misses nothing. Both are None if no event of the session is kept.
    """

    phase: Phase = "idle"
    runs: Sequence[GoingOn] = ()
    calls: Sequence[OpenCall] = ()
    approvals: Sequence[Approval] = ()
    events_of: str | None = None
    last_event_id: int | None = None


IDLE = SessionState()


class SessionStates:
    """Reads what the database knows, and asks this process about its own runs."""

    def __init__(
        self,
        pages: SessionPages,
        runs: RunService,
        approvals: ApprovalService,
        questions: QuestionService,
    ) -> None:
        self._pages = pages
        self._runs = runs
        self._approvals = approvals
        self._questions = questions

    def of(self, key: str) -> SessionState:
        """The state of one session, also of one that rests. Raises StorageUnavailable."""
        found = self.of_all([key]).get(key)
        if found is not None:
            return found
        newest = self._pages.newest_run(key)
        events = None if newest is None else self._events(newest)
        if newest is None or events is None:
            return IDLE
        return SessionState(events_of=shown_run_id(newest, key), last_event_id=events.length)

    def of_all(self, keys: Collection[str]) -> Mapping[str, SessionState]:
        """Of those of the sessions in which something goes on. Raises StorageUnavailable."""
        unended = self._pages.unended(set(keys))
        if not unended:
            return {}
        calls = self._pages.open_calls([one.run_id for one in unended])
        approvals, asking = self._approvals.pending(), self._asking()
        by_session = groupby(unended, _key)
        return {key: self._state(key, list(group), calls, approvals, asking) for key, group in by_session}

    def _asking(self) -> Set[str]:
        """The sessions whose agents wait for an answer, as far as other workers can be asked."""
        with suppress(ClusterUnavailable):
            return {one.session_key for one in self._questions.pending()}
        return frozenset()

    def _events(self, run_id: str) -> EventLog | None:
        """The run's events, if they are kept and can be reached."""
        with suppress(ClusterUnavailable):
            return self._runs.bus.log(run_id)
        return None

    def _state(
        self,
        key: str,
        unended: Sequence[UnendedRun],
        calls: Sequence[OpenCall],
        approvals: Sequence[Approval],
        asking: Set[str],
    ) -> SessionState:
        ids = {one.run_id for one in unended}
        first = unended[0].run_id
        runs = [
            GoingOn(shown_run_id(one.run_id, key), one.started_at, self._is_queued(one)) for one in unended
        ]
        waiting = [one for one in approvals if one.request.session_key == key]
        events = self._events(first)
        return SessionState(
            _phase(runs, waiting, key in asking),
            runs,
            [one for one in calls if one.run_id in ids],
            waiting,
            None if events is None else shown_run_id(first, key),
            None if events is None else events.length,
        )

    def _is_queued(self, unended: UnendedRun) -> bool:
        own = self._runs.get(unended.run_id)
        return (unended if own is None else own).dequeued_at is None


def _phase(runs: Sequence[GoingOn], waiting: Sequence[Approval], is_asking: bool) -> Phase:
    if waiting:
        return "waiting_for_approval"
    if is_asking:
        return "waiting_for_answer"
    return "queued" if all(one.is_queued for one in runs) else "running"
