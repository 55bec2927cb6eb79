"""Runs that a dead worker has left, or a stopping one has given up: gone on with here (docs/runs.md).

A run is gone on with behind its last settled step, under its own id, with the next fence. What its earlier
attempt had published beyond that step is forgotten: a follower who asks for the run's events from the start
has those of the settled steps, then what happens from here on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence

from app.errors import GatewayError, InvalidRequest, StorageUnavailable
from app.events.types import Event
from app.logs.lines import log_event
from app.runs.earlier import Earlier, events_of
from app.runs.run import Run
from app.runs.service import RunService
from app.runs.stored_request import counted, rebuild
from app.sessions.base import Maintenance, RunStore
from app.sessions.orphans import Orphan
from app.sessions.stored import AcceptedRun

logger = logging.getLogger("app.runs")

UNREADABLE = "The run was cut, and another version of the gateway has stored it: send the request again."


class Resumption:
    """`take_back(run_id)` cancels the approvals that a run waits for, and returns the ids of those calls."""

    def __init__(
        self,
        runs: RunService,
        store: RunStore,
        upkeep: Maintenance,
        take_back: Callable[[str], Collection[str]],
    ) -> None:
        self._runs = runs
        self._store = store
        self._upkeep = upkeep
        self._take_back = take_back
        self._taken: list[Orphan] = []  # those that are ours, and are not gone on with yet
        self._lock = threading.Lock()

    def look(self) -> int:
        """Take the runs of dead workers over: go on with those with which that is possible.

        Returns how many were interrupted. Raises StorageUnavailable.
        """
        if self._runs.draining:
            return 0
        with self._lock:
            return self._look()

    def _look(self) -> int:
        arriving = self._runs.arriving

        def decide_and_note(orphan: Orphan) -> str | None:
            request = decide(orphan)
            if request is not None:
                arriving.add(orphan.run_id)  # before others can find it as ours
            return request

        try:
            found = self._upkeep.take_over(decide_and_note)
            self._taken += found.taken
            while self._taken:
                self._resume(self._taken[0])  # which is tried again if the database is away
                del self._taken[0]
        finally:
            arriving.clear()
            arriving.update(orphan.run_id for orphan in self._taken)
        return found.interrupted

    def _resume(self, orphan: Orphan) -> None:
        try:
            run, accepted, events = self._rebuild(orphan)
            self._runs.adopt(run, accepted, events)
        except StorageUnavailable:
            raise
        except GatewayError as error:
            log_event(
                logger,
                logging.WARNING,
                "a run cannot be gone on with",
                run_id=orphan.run_id,
                why=error.message,
            )
            self._store.finish(
                *(orphan.run_id, "interrupted", (), None, error.code, error.message), fence=orphan.fence
            )
            return
        log_event(
            logger,
            logging.WARNING,
            "going on with a run of another worker",
            run_id=run.id,
            session=run.session_key,
            fence=orphan.fence,
            settled_steps=len(run.earlier.steps),
        )

    def _rebuild(self, orphan: Orphan) -> tuple[Run, AcceptedRun, Sequence[Event]]:
        left = self._store.left(orphan.run_id)
        request = rebuild(orphan.request or "", orphan.run_id, left)
        if request is None:
            raise InvalidRequest(UNREADABLE)
        run = self._runs.prepare(request)
        run.started_at = orphan.accepted_at / 1000  # as those who ask again are told
        not_made = frozenset(self._take_back(orphan.run_id))
        run.earlier = Earlier(left.input, left.steps, left.usage, left.model, not_made)
        accepted = AcceptedRun(orphan.number, orphan.fence, before=1, has_begun=orphan.has_begun)
        return run, accepted, list(events_of(left.steps))


def decide(orphan: Orphan) -> str | None:
    """What is stored of a run that is taken over (see `app.sessions.orphans`)."""
    return counted(orphan.request, has_begun=orphan.has_begun)
