"""What transports ask about runs, whichever worker has them: find one, those of a session, stop, wait.

First this process is asked, which knows its own runs best; then the database, which knows all that are
stored; then the other workers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from app.cluster.ask import Workers
from app.cluster.base import Message
from app.control.run_pages import RunPages
from app.control.run_views import RunView, view_of_ended, view_of_events, view_of_run, view_of_stored
from app.errors import ClusterUnavailable, RunAborted, ServiceUnavailable
from app.events.log import EventLog
from app.events.types import Event
from app.runs.run import Run
from app.runs.service import RunService
from app.sessions.keys import is_visible, owned_run_id
from app.sessions.run_rows import RunIndex, StoredRun
from app.storage.base import Worker

STOP_SECONDS = 2.0  # that a run may take to end once it is asked to
LOOK_SECONDS = 0.5  # between two looks at the database for the end of a run elsewhere


class RunEvents(NamedTuple):
    """A run's log for a follower; `run` is the run itself if it goes on in this process."""

    log: EventLog
    run: Run | None = None


class AllRuns:
    """`owner` is always whose runs may be found; None is the operator, who may find all.

    All methods raise StorageUnavailable, and ClusterUnavailable if only other workers could tell.
    """

    def __init__(self, runs: RunService, index: RunIndex, worker: Worker, workers: Workers) -> None:
        self.here = runs  # this process's own
        self._index = index
        self._worker = worker
        self.workers = workers
        self.pages = RunPages(runs, index, worker, workers)
        workers.answer("run.find", self._answer_find)
        workers.answer("run.stop", self._answer_stop)

    def find(self, run_id: str, owner: str | None) -> RunView | None:
        """The run that `owner` knows by that id; None if there is none, or nobody remembers it."""
        live = self.here.get(run_id, owner)
        if live is not None and not live.ended:
            return view_of_run(live)
        stored = self._stored(run_id, owner)
        if stored is None:
            return self._unstored_here(run_id, owner) or self._ask_find(run_id, owner)
        if stored.has_ended:
            return self._view_of(stored)
        ended = self.here.ledger.get(stored.id)
        if ended is not None:  # but that could not be stored
            return view_of_ended(ended, _log_of(self.here.bus.history(ended.id)))
        return self._elsewhere(stored)

    def events(self, found: RunView) -> RunEvents | None:
        """The events of a run that `find` has found; None if they are not kept any more."""
        bus = self.here.bus
        run = self.here.get(found.id)
        if run is not None:
            return RunEvents(run.log, run)
        log = bus.log(found.id) or _log_of(bus.history(found.id))
        return None if log is None else RunEvents(log)

    def in_session(self, session_key: str) -> Sequence[str]:
        """The ids of the session's runs that have not ended, in the order of its queue."""
        here = [run.id for run in self.here.in_session(session_key) if not run.ended]
        if not self.workers.pubsub.is_shared:
            return here
        unended = [one.id for one in self._index.unended([session_key]) if self._goes_on(one)]
        return [*unended, *(one for one in here if one not in unended)]

    def active_sessions(self, session_keys: Sequence[str]) -> set[str]:
        """Those of the sessions that have a run which has not ended."""
        wanted = set(session_keys)
        found = {run.session_key for run in self.here.active if run.session_key in wanted and not run.ended}
        if self.workers.pubsub.is_shared and (rest := wanted - found):
            found |= {one.session_key for one in self._index.unended(rest) if self._goes_on(one)}
        return found

    def stop(self, run_ids: Sequence[str], why: str) -> list[str]:
        """Abort these runs, which have been looked up, and wait a moment for their ends.

        Returns the ids of those that were stopped; others had ended, or were stopping already. Raises
        ServiceUnavailable: a run is in another process, which did not answer.
        """
        here = [run for one in run_ids if (run := self.here.get(one)) is not None]
        stopped = [run.id for run in here if run.abort(RunAborted(why))]
        elsewhere = [one for one in run_ids if self.here.get(one) is None]
        if elsewhere:
            stopped += self._stop_elsewhere(elsewhere, why)
        deadline = time.monotonic() + STOP_SECONDS
        for run in here:
            run.wait(max(0.0, deadline - time.monotonic()))
        return stopped

    def wait(self, found: RunView, seconds: float) -> RunView | None:
        """The run, once it has ended; None if it does not within `seconds`."""
        deadline = time.monotonic() + seconds
        run = self.here.get(found.id)
        while True:
            left = min(max(0.0, deadline - time.monotonic()), LOOK_SECONDS)
            if run is not None:
                run.wait(left)
            else:
                time.sleep(left)
            view = self.find(found.id, None)
            if view is None or view.has_ended:
                return view
            if time.monotonic() >= deadline:
                return None

    # What this process knows

    def _unstored_here(self, run_id: str, owner: str | None) -> RunView | None:
        """A run that this process remembers, or has events of."""
        bus = self.here.bus
        ended = self.here.ledger.get(run_id, owner)
        if ended is not None:
            return view_of_ended(ended, _log_of(bus.history(ended.id)))
        for one in _names(run_id, owner):
            events = bus.log(one) or _log_of(bus.history(one))
            view = None if events is None else view_of_events(one, events)
            if view is not None and is_visible(view.session_key, owner):
                return view
        return None

    # What the database knows

    def _stored(self, run_id: str, owner: str | None) -> StoredRun | None:
        for one in _names(run_id, owner):
            found = self._index.find(one)
            if found is not None and is_visible(found.session_key, owner):
                return found
        return None

    def _view_of(self, stored: StoredRun) -> RunView:
        events = _log_of(self.here.bus.history(stored.id))
        messages = self._index.messages(stored.id) if events is None else ()
        return view_of_stored(stored, messages, events)

    def _goes_on(self, stored: StoredRun) -> bool:
        return stored.is_resumable or self._worker.is_alive(stored.worker)

    # What other workers know

    def _elsewhere(self, stored: StoredRun) -> RunView:
        """A run of another worker, as that one sees it if it can be asked."""
        if not self._worker.is_alive(stored.worker):
            return view_of_stored(stored, self._index.messages(stored.id), None, is_dead=True)
        try:
            asked = self._ask_find(stored.id, None)
        except ClusterUnavailable:
            asked = None
        return asked or view_of_stored(stored, self._index.messages(stored.id), None)

    def _ask_find(self, run_id: str, owner: str | None) -> RunView | None:
        replies = self.workers.ask(
            "run.find", {"run_id": run_id, "owner": owner}, enough=lambda one: one["run"] is not None
        )
        found = next((one["run"] for one in replies if one["run"] is not None), None)
        return None if found is None else msgspec.convert(found, RunView)

    def _answer_find(self, question: Message) -> Mapping[str, Any]:
        run_id, owner = question["run_id"], question["owner"]
        live = self.here.get(run_id, owner)
        view = self._unstored_here(run_id, owner) if live is None or live.ended else view_of_run(live)
        return {"run": None if view is None else msgspec.to_builtins(view)}

    def _stop_elsewhere(self, run_ids: Sequence[str], why: str) -> list[str]:
        wanted = set(run_ids)
        replies = self.workers.ask(
            "run.stop",
            {"run_ids": list(run_ids), "why": why},
            STOP_SECONDS + 1.0,
            enough=lambda one: wanted <= set(one["known"]),
        )
        stopped = [run_id for one in replies for run_id in one["stopped"]]
        known = {run_id for one in replies for run_id in one["known"]}
        return stopped + [one for one in run_ids if one not in known and self._stop_orphan(one, why)]

    def _stop_orphan(self, run_id: str, why: str) -> bool:
        """End a run that no worker has any more. False if it has ended."""
        stored = self._index.find(run_id)
        if stored is None or stored.has_ended:
            return False
        if self._worker.is_alive(stored.worker):
            raise ServiceUnavailable(
                f"The run {run_id} is at work in another process, which did not answer. Try again.",
                retry_after=1,
            )
        return self._index.end_orphan(stored, RunAborted.code, why)

    def _answer_stop(self, question: Message) -> Mapping[str, Any]:
        here = [run for one in question["run_ids"] if (run := self.here.get(one)) is not None]
        stopped = self.stop([run.id for run in here], question["why"]) if here else []
        return {"known": [run.id for run in here], "stopped": stopped}


def _log_of(events: Sequence[Event] | None) -> EventLog | None:
    """The log again of a run that has ended."""
    if not events:
        return None
    *before, last = events
    log = EventLog(before)
    log.append(last)
    return log


def _names(run_id: str, owner: str | None) -> Sequence[str]:
    """The ids under which a run may be kept that `owner` knows by this one."""
    return (run_id,) if owner is None else (owned_run_id(run_id, owner), run_id)
