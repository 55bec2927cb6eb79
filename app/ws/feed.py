"""Sends the events of runs to the connections that follow them, whoever started the runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from app.concurrency.background import spawn
from app.events.log import EventLog
from app.events.types import RunStarted
from app.runs.run import Run
from app.runs.service import RunService
from app.sessions.keys import shown_run_id
from app.ws.connections import Connections
from app.ws.encoder import OutgoingEvent, RunEncoder
from app.ws.frames import EventFrame


class Feed:
    """Follows each run from its start, on a greenlet of its own, if anybody is connected then."""

    def __init__(self, connections: Connections, runs: RunService) -> None:
        self._connections = connections
        self._runs = runs
        self._followed: dict[str, list[Callable[[], object]]] = {}  # run id -> what to call after its events
        runs.bus.subscribe(self._run_published)

    def when_sent(self, run_id: str, then: Callable[[], object]) -> None:
        """Call `then` when the run has ended and all its events have been queued for the connections.

        So a response that depends on the run's end comes after the events, as clients expect. It is called
        now for a run that is not active.
        """
        if (waiting := self._followed.get(run_id)) is not None:
            waiting.append(then)
        elif (run := self._runs.get(run_id)) is not None:
            spawn(_call_at_end, run, then)
        else:
            then()

    def wait_sent(self, runs: Iterable[Run], seconds: float) -> None:
        """Wait for `when_sent` of all these runs, at most `seconds`."""
        deadline = time.monotonic() + seconds
        for run in runs:
            sent = threading.Event()
            self.when_sent(run.id, sent.set)
            sent.wait(max(0.0, deadline - time.monotonic()))

    def _run_published(self, run_id: str, log: EventLog) -> None:
        if len(self._connections):
            self._followed[run_id] = []
            spawn(self._follow, run_id, log)

    def _follow(self, run_id: str, log: EventLog) -> None:
        try:
            started = next(iter(log))
            assert isinstance(started, RunStarted)
            shown_id = shown_run_id(run_id, started.session_key)
            encoder = RunEncoder(shown_id, started.agent_id, started.session_key)
            for batch in log.follow():
                for event in encoder.encode(batch):
                    self._send(started, event)
        finally:
            for then in self._followed.pop(run_id, ()):
                then()

    def _send(self, run: RunStarted, event: OutgoingEvent) -> None:
        audience = self._connections.audience(run.session_key, run.starter)
        cap = event.only_starter_with
        if cap is not None:
            audience = [one for one in audience if one.id == run.starter and one.has_cap(cap)]
        if audience:
            frame = EventFrame(event.event, event.payload)
            for connection in audience:
                connection.notify(frame, droppable=event.droppable)


def _call_at_end(run: Run, then: Callable[[], object]) -> None:
    run.wait()
    then()
