"""Requests that are made again with their key: they follow the run that answers them, or get its answer again
(docs/idempotency.md).

    runs.start(request)     a key that nobody has used, or whose run was cut: a run
    the same, meanwhile     the run itself if it is this worker's, else a mirror of its events
    the same, later         the events again, made of what is stored
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from app.errors import ClusterUnavailable, ServiceUnavailable
from app.events.log import EventLog
from app.events.types import Event, RunFailed, RunFinished, RunStarted
from app.runs.followed_elsewhere import FollowedElsewhere, RunElsewhere
from app.runs.ledger import EndedRun
from app.runs.replay import ReplayedRun, as_ended, replay, replay_events
from app.runs.request import RunRequest
from app.runs.run import Run
from app.runs.service import RunService
from app.sessions.base import SessionStore
from app.sessions.bound_keys import BINDING, KeyInUse, reused
from app.sessions.keys import is_visible, owned_run_id
from app.sessions.remembered import BoundRun, RememberedRun
from app.sessions.stored import RunKey

LOOK_SECONDS = 0.25
RACE_SECONDS = 0.01
MAX_WAIT_SECONDS = 20.0  # until a run that no living worker has is taken over, or known to have been cut
RETRY_SECONDS = 2.0

AnyRun = Run | ReplayedRun


class Repeats:
    """Finds the runs of earlier requests. `take_over` goes on with the runs of dead workers."""

    def __init__(
        self,
        runs: RunService,
        store: SessionStore,
        elsewhere: FollowedElsewhere,
        take_over: Callable[[], object],
    ) -> None:
        self._runs = runs
        self._elsewhere = elsewhere
        self._store = store.runs
        self._outcomes = store.outcomes
        self._take_over = take_over

    def begin(self, request: RunRequest) -> tuple[AnyRun, bool]:
        """The run that answers the request, and whether the request had been made before.

        Raises IdempotencyKeyReused, ServiceUnavailable and what `RunService.start` raises.
        """
        key = request.key
        if key is None:
            return self._runs.start(request), False
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        while time.monotonic() < deadline:
            if (earlier := self.find(key, request.run_id)) is not None:
                return earlier, True
            try:
                return self._runs.start(request), False
            except KeyInUse:
                time.sleep(RACE_SECONDS)  # the same request, at the same moment
        raise _unknown()

    def find(self, key: RunKey, run_id: str | None = None) -> AnyRun | None:
        """The run that answers this request already; None if none does, or it was cut.

        `run_id` is the id of the run, if its caller chose it. Raises IdempotencyKeyReused: the key is that of
        another request. Raises ServiceUnavailable: the run is another worker's, which cannot be reached.
        """
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        while True:
            bound = self._bound(key, run_id)
            if bound is None or bound.state not in BINDING:
                return None
            if bound.body_hash not in (None, key.body_hash):
                raise reused()
            if (found := self._answer(bound)) is not None:
                return found
            if time.monotonic() > deadline:
                raise _unknown()

    def known(self, request: RunRequest) -> EndedRun | Literal["in_flight"] | None:
        """What became of a run whose id its caller has chosen; None for one that is to be run, or run again.

        Raises IdempotencyKeyReused: the run answers another request.
        """
        key, run_id = request.key, request.run_id
        if key is None or run_id is None:
            return None
        for _ in range(int(MAX_WAIT_SECONDS / LOOK_SECONDS)):
            bound = self._bound(key, run_id)
            if bound is None or bound.state not in BINDING:
                return None
            if bound.body_hash not in (None, key.body_hash):
                raise reused()
            if bound.state == "finished":
                return self.ended(run_id)
            run = self._runs.get(run_id)
            if run is not None and run.cancel.cancelled:
                run.wait(LOOK_SECONDS)
            elif run is not None or not self._is_stuck(bound):
                return "in_flight"
        return "in_flight"

    def _is_stuck(self, bound: BoundRun) -> bool:
        """Whether nobody had the run any more, and it is something else now: gone on with, or interrupted."""
        if self._outcomes.is_own(bound):
            self._settle(bound)
            return True
        if not self._outcomes.is_left(bound):
            return False
        self._take_over()
        return self._outcomes.named(bound.run_id) != bound._replace(body_hash=None)

    def ended(self, run_id: str, owner: str | None = None) -> EndedRun | None:
        """How a run has ended, of those that `owner` may see, if one is given; None if that is not known.

        Remembered, or stored: also by a process before this one.
        """
        remembered = self._runs.ledger.get(run_id, owner)
        if remembered is not None and remembered.is_answered:
            return remembered
        stored = self._stored(run_id, owner)
        if stored is None:
            return remembered
        return None if stored.state == "running" else as_ended(stored)

    def _bound(self, key: RunKey, run_id: str | None) -> BoundRun | None:
        if key.is_run_id and run_id is not None:
            return self._outcomes.named(run_id, key.id)
        return self._outcomes.bound(key.id)

    def _answer(self, bound: BoundRun) -> AnyRun | None:
        """The run, or what it has answered; None if it must be asked for again."""
        run = self._runs.get(bound.run_id)
        if run is not None:
            if not run.cancel.cancelled:
                return run
            run.wait(LOOK_SECONDS)  # it is being stopped: soon it is one that was cut
            return None
        if bound.state == "finished":
            return self._replayed(bound.run_id)
        log = self._runs.bus.log(bound.run_id)
        if log is not None and not isinstance(log.end, RunFailed):
            return _mirrored(log, self._elsewhere.run(bound.run_id))
        self._settle(bound)
        return None

    def _replayed(self, run_id: str) -> ReplayedRun | None:
        """The run with its events, while they are kept; after that, with those that its answer takes."""
        events: Sequence[Event] | None = None
        with suppress(ClusterUnavailable):
            events = self._runs.bus.history(run_id)
        if events and isinstance(events[-1], RunFinished):
            return replay_events(events)
        stored = self._outcomes.run(run_id)
        return None if stored is None else replay(stored)

    def _settle(self, bound: BoundRun) -> None:
        """Of a run that goes on, as the store has it, but is not known here."""
        again = self._outcomes.named(bound.run_id)
        if again is None or again != bound._replace(body_hash=None):
            return  # it has just ended
        is_known = self._runs.get(bound.run_id) is not None or bound.run_id in self._runs.arriving
        if self._outcomes.is_own(bound) and not is_known:
            # Its end could not be stored.
            self._store.finish(bound.run_id, "interrupted", (), fence=bound.fence)
        else:
            # Its worker may be dead: soon another one has it, or it is one that was cut.
            time.sleep(LOOK_SECONDS)

    def _stored(self, run_id: str, owner: str | None) -> RememberedRun | None:
        own = self._outcomes.run(owned_run_id(run_id, owner))
        if own is not None or owner is None:
            return own
        other = self._outcomes.run(run_id)
        return other if other is not None and is_visible(other.session_key, owner) else None


def _mirrored(log: EventLog, elsewhere: RunElsewhere) -> ReplayedRun | None:
    """A run by its events; None before the first one, and where the first ones are not kept any more."""
    started = next(iter(log), None)
    if log.first or not isinstance(started, RunStarted):
        log.wait(LOOK_SECONDS)
        return None
    return ReplayedRun(started, log, elsewhere)


def _unknown() -> ServiceUnavailable:
    return ServiceUnavailable(
        "The request was accepted before, and its run cannot be reached now. Try again with the same key.",
        retry_after=RETRY_SECONDS,
    )
