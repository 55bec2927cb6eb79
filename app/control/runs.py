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
from app.control.run_stopper import RunStopper
from app.control.run_views import RunView, view_of_ended, view_of_events, view_of_run, view_of_stored
from app.errors import ClusterUnavailable, StorageUnavailable
from app.events.log import EventLog
from app.events.types import Event
from app.runs.followed_elsewhere import FollowedElsewhere, RunElsewhere
from app.runs.idempotency import WEBSOCKET, key_id
from app.runs.run import Run
from app.runs.service import RunService
from app.sessions.keys import is_visible, owned_run_id, shown_run_id
from app.sessions.run_rows import RunIndex, StoredRun
from app.storage.base import Stop, Worker

LOOK_SECONDS = 0.5  # between two looks at the database for the end of a run elsewhere
KEYED_ROUTES = ("/v1/chat/completions",)  # of the HTTP requests that start runs and may have a key


class RunEvents(NamedTuple):
    """A run's log for a follower; `run` is the run itself, if it goes on."""

    log: EventLog
    run: Run | RunElsewhere | None = None


class AtWork(NamedTuple):
    """A run that goes on, by the id that clients know, and when it was accepted: milliseconds since 1970."""

    shown_id: str
    started_at: int


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
        self.elsewhere = FollowedElsewhere(runs, workers)
        self._stopper = RunStopper(runs, index, worker, workers)
        workers.answer("run.find", self._answer_find)

    def find(self, run_id: str, owner: str | None) -> RunView | None:
        """The run that `owner` knows by that id; None if there is none, or nobody remembers it."""
        live = self.here.get(run_id, owner)
        if live is not None and not live.ended:
            return view_of_run(live)
        stored = self._stored(run_id, owner)
        if stored is None:
            remembered = self._remembered(run_id, owner) or self._ask_find(run_id, owner)
            return remembered or self._of_events(run_id, owner)
        if stored.has_ended:
            return self._view_of(stored)
        return (self._is_own(stored) and self._remembered(stored.id, None)) or self._elsewhere(stored)

    def events(self, found: RunView) -> RunEvents | None:
        """The events of a run that `find` has found; None if they are not kept any more."""
        bus = self.here.bus
        run = self.here.get(found.id)
        if run is not None:
            return RunEvents(run.log, run)
        log = bus.log(found.id) or _log_of(bus.history(found.id))
        if log is None:
            return None
        return RunEvents(log, None if log.end is not None else self.elsewhere.run(found.id))

    def of_key(self, key: str, owner: str | None, session_key: str | None) -> tuple[str, ...]:
        """The ids of the runs for which that key of the caller's stands: that of requests which named the
        session, or no session; and of a run whose id it is.
        """
        ids = [key_id(key, owner, route, session_key) for route in KEYED_ROUTES]
        ids.append(key_id(key, owner, WEBSOCKET, None))
        return (*self._index.of_keys(ids), *_names(key, owner))

    def goes_on(self, run_id: str, owner: str | None) -> bool:
        """Whether that is a run which has not ended. As cheap as can be: it is asked for each new run."""
        if self.here.get(run_id, owner) is not None:
            return True
        if not self.workers.pubsub.is_shared:
            return False
        stored = self._stored(run_id, owner)
        return stored is not None and not stored.has_ended and self._goes_on(stored)

    def in_session(self, session_key: str) -> Sequence[str]:
        """The ids of the session's runs that have not ended, in the order of its queue."""
        here = [run.id for run in self.here.in_session(session_key) if not run.ended]
        if not self.workers.pubsub.is_shared:
            return here
        unended = [one.id for one in self._index.unended([session_key]) if self._goes_on(one)]
        return [*unended, *(one for one in here if one not in unended)]

    def at_work(self, session_key: str) -> AtWork | None:
        """The run that has the session's lane, or has it next; None if it has none."""
        for run in self.here.active:
            if run.session_key == session_key:
                return AtWork(run.shown_id, int(run.started_at * 1000))
        if not self.workers.pubsub.is_shared:
            return None
        first = next(filter(self._goes_on, self._index.unended([session_key])), None)
        return None if first is None else AtWork(shown_run_id(first.id, session_key), first.accepted_at)

    def active_sessions(self, session_keys: Sequence[str]) -> set[str]:
        """Those of the sessions that have a run which has not ended."""
        wanted = set(session_keys)
        found = {run.session_key for run in self.here.active if run.session_key in wanted and not run.ended}
        if self.workers.pubsub.is_shared and (rest := wanted - found):
            found |= {one.session_key for one in self._index.unended(rest) if self._goes_on(one)}
        return found

    def stop(self, run_ids: Sequence[str], why: str) -> list[str]:
        """See `RunStopper.stop`."""
        return self._stopper.stop(run_ids, why)

    def wait(self, found: RunView, seconds: float, stop: Stop) -> RunView | None:
        """A run of another worker, once it has ended; None if it does not within `seconds`, or `stop` is set
        before.
        """
        deadline = time.monotonic() + seconds
        while not found.has_ended:
            left = deadline - time.monotonic()
            if left <= 0 or stop.wait(min(left, LOOK_SECONDS)):
                return None
            found = self.find(found.id, None) or found
        return found

    # What this process knows

    def _remembered(self, run_id: str, owner: str | None) -> RunView | None:
        """A run that has ended in this process."""
        ended = self.here.ledger.get(run_id, owner)
        return None if ended is None else view_of_ended(ended, self._history(ended.id))

    def _history(self, run_id: str) -> EventLog | None:
        """The events of a run whose end is known without them."""
        try:
            return _log_of(self.here.bus.history(run_id))
        except ClusterUnavailable:
            return None

    def _of_events(self, run_id: str, owner: str | None) -> RunView | None:
        """A run that nobody remembers, but whose events are still kept."""
        bus = self.here.bus
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
        events = self._history(stored.id)
        messages = self._index.messages(stored.id) if events is None else ()
        return view_of_stored(stored, messages, events)

    def _is_own(self, stored: StoredRun) -> bool:
        """Whether it was this process that did not store the end of the run."""
        try:
            return stored.worker == self._worker.id
        except StorageUnavailable:
            return False

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
        view = self._remembered(run_id, owner) if live is None or live.ended else view_of_run(live)
        return {"run": None if view is None else msgspec.to_builtins(view)}


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
