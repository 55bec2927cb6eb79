"""Sends the events of runs, by any transport, to the connections that get them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from app.concurrency.background import spawn
from app.concurrency.fairness import give_way
from app.errors import ServiceUnavailable
from app.events.log import EventLog
from app.events.types import Event, RunStarted
from app.runs.service import RunService
from app.sessions.keys import shown_run_id
from app.ws.connections import Connections, Listener
from app.ws.encoder import TOOL_EVENTS, OutgoingEvent, RunEncoder
from app.ws.frames import EventFrame

BODIES_SINCE = 4  # clients of older protocols get the output of tools if their session says so
TEXT_SECONDS = 0.15  # the least time between two events with text of a run


class Feed:
    """Follows each run from its start, on a greenlet of its own, if anybody is connected then.

    A run of another worker is only followed as long as somebody here gets its events.
    """

    def __init__(self, connections: Connections, runs: RunService) -> None:
        self._connections = connections
        self._runs = runs
        # Run id -> what to call after its events. An entry is there from the first call to the run's end.
        self._waiting: dict[str, list[Callable[[], object]]] = {}
        self._attends = False
        runs.bus.subscribe(self._run_published)
        connections.on_interest = self._interest_changed

    def when_sent(self, run_id: str, then: Callable[[], object]) -> Callable[[], None]:
        """Call `then` when the run has ended and all its events have been queued for the connections.

        So a response that depends on the run's end comes after the events, as clients expect. It is called
        now for a run that is not active. Returns a function that takes the request back.
        """
        if run_id not in self._waiting:
            run = self._runs.get(run_id)
            if run is None:
                then()
                return lambda: None
            self._waiting[run_id] = []
            spawn(self._await_end, run_id, run.log)
        waiting = self._waiting[run_id]
        waiting.append(then)

        def take_back() -> None:
            if then in waiting:
                waiting.remove(then)

        return take_back

    def wait_sent(self, run_ids: Iterable[str], seconds: float) -> None:
        """Wait for `when_sent` of all these runs, at most `seconds`."""
        deadline = time.monotonic() + seconds
        for run_id in run_ids:
            sent = threading.Event()
            take_back = self.when_sent(run_id, sent.set)
            sent.wait(max(0.0, deadline - time.monotonic()))
            take_back()

    def when_over(self, run_id: str, log: EventLog, then: Callable[[], object]) -> None:
        """As `when_sent`, for a run on whichever worker."""
        if log.is_elsewhere and run_id not in self._waiting:
            self._waiting[run_id] = []
            spawn(self._await_end, run_id, log)
        self.when_sent(run_id, then)

    def _interest_changed(self, session_key: str | None) -> None:
        """Follow those runs of other workers that somebody here wants to see from now on."""
        if (wanted := len(self._connections) > 0) != self._attends:
            self._attends = wanted
            self._runs.bus.attend(wanted)
        if session_key is None and not self._connections.everybody_gets_all:
            return  # a new connection gets nothing of runs that it has not asked for
        for run_id, log in self._runs.bus.others():
            started = _started(log)
            is_meant = session_key in (None, started.session_key) and run_id not in self._waiting
            if is_meant and self._gets(started):
                self._waiting[run_id] = []
                spawn(self._join, run_id)

    def _gets(self, started: RunStarted) -> bool:
        """Whether anybody here gets the run's events."""
        return bool(self._connections.audience(started.session_key, started.starter))

    def _run_published(self, run_id: str, log: EventLog) -> None:
        if not len(self._connections) or (log.is_elsewhere and run_id in self._waiting):
            return
        if not log.is_elsewhere or self._gets(_started(log)):
            self._waiting[run_id] = []
            spawn(self._follow, run_id, log, 0)

    def _join(self, run_id: str) -> None:
        """Follow a run of another worker from now on."""
        try:
            log = self._runs.bus.log(run_id)
        except ServiceUnavailable:
            log = None
        if log is None or log.first:  # over, or longer than it is kept
            self._call_waiting(run_id)
        else:
            self._follow(run_id, log, log.length)

    def _follow(self, run_id: str, log: EventLog, position: int) -> None:
        try:
            started = _started(log)
            sender = _Sender(started, self._connections)
            sender.skip(log.batch(0, position))
            for batch in log.follow(position):
                if sender.send(batch):
                    log.wait(TEXT_SECONDS)  # what comes meanwhile is one batch; the run's end comes at once
                if log.is_elsewhere and not self._gets(started):
                    return
        finally:
            self._call_waiting(run_id)

    def _await_end(self, run_id: str, log: EventLog) -> None:
        log.wait()
        self._call_waiting(run_id)

    def _call_waiting(self, run_id: str) -> None:
        waiting = self._waiting.pop(run_id, [])
        while waiting:
            waiting.pop(0)()


def _started(log: EventLog) -> RunStarted:
    started = next(iter(log))
    assert isinstance(started, RunStarted)
    return started


class _Sender:
    """Sends one run's events, and remembers which connections have got the text so far."""

    def __init__(self, run: RunStarted, connections: Connections) -> None:
        self._run = run
        self._connections = connections
        shown_id = shown_run_id(run.run_id, run.session_key)
        shows_reasoning = run.reasoning == "stream"
        self._encoder = RunEncoder(shown_id, run.agent_id, run.session_key, shows_reasoning=shows_reasoning)
        self._reached: dict[str, set[str]] = {}  # text -> ids of the connections that got its last event

    def skip(self, batch: Sequence[Event]) -> None:
        """Send nothing of these events, which came before anybody here wanted them."""
        for _ in self._encoder.encode(batch):
            give_way()

    def send(self, batch: Sequence[Event]) -> bool:
        """Send what is to be sent for the batch. True if there was text in it."""
        has_text = False
        for event in self._encoder.encode(batch):
            audience = self._audience(event)
            if event.text is not None:
                has_text = True
                self._send_text(event, event.text, audience)
            elif audience:
                self._send_one(event, audience)
        return has_text

    def _audience(self, event: OutgoingEvent) -> list[Listener]:
        audience = self._connections.audience(self._run.session_key, self._run.starter)
        cap = event.only_starter_with
        return [one for one in audience if cap is None or self._may_have_details(one, cap)]

    def _may_have_details(self, listener: Listener, cap: str) -> bool:
        """Whether it is one that asked for them, or is too old to ask, in a session that shows them."""
        if cap in listener.client.caps:
            return listener.id == self._run.starter
        return self._run.verbose in ("on", "full") and listener.protocol < BODIES_SINCE

    def _send_one(self, event: OutgoingEvent, audience: Sequence[Listener]) -> None:
        frames: dict[int, EventFrame] = {}  # by the payload that it has
        for connection in audience:
            payload = self._payload(event, connection)
            frame = frames.get(id(payload))
            if frame is None:
                frame = frames[id(payload)] = EventFrame(event.event, payload)
            connection.notify(frame, droppable=event.droppable)

    def _payload(self, event: OutgoingEvent, listener: Listener) -> Mapping[str, Any]:
        """The event as this connection gets it (docs/websocket.md#tools-at-work)."""
        is_old = listener.protocol < BODIES_SINCE
        if event.brief is not None and is_old and self._run.verbose != "full":
            return event.brief
        if event.last_turn is not None and not is_old and TOOL_EVENTS in listener.client.caps:
            return event.last_turn
        return event.payload

    def _send_text(self, event: OutgoingEvent, text: str, audience: Sequence[Listener]) -> None:
        before = self._reached.get(text, set())
        reached = self._reached[text] = set()
        frames: dict[bool, EventFrame] = {}  # the ordinary one, and the whole text for those who missed some
        for connection in audience:
            is_behind = event.whole is not None and connection.id not in before
            if is_behind not in frames:
                payload = event.whole() if is_behind and event.whole is not None else event.payload
                frames[is_behind] = EventFrame(event.event, payload)
            if connection.notify(frames[is_behind], droppable=event.droppable):
                reached.add(connection.id)
