"""Sends the events of runs, by any transport, to the connections that get them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from app.concurrency.background import spawn
from app.events.log import EventLog
from app.events.types import Event, RunStarted
from app.runs.run import Run
from app.runs.service import RunService
from app.sessions.keys import shown_run_id
from app.ws.connections import Connections, Listener
from app.ws.encoder import TOOL_EVENTS, OutgoingEvent, RunEncoder
from app.ws.frames import EventFrame

BODIES_SINCE = 4  # clients of older protocols get the output of tools if their session says so
TEXT_SECONDS = 0.15  # the least time between two events with text of a run


class Feed:
    """Follows each run from its start, on a greenlet of its own, if anybody is connected then."""

    def __init__(self, connections: Connections, runs: RunService) -> None:
        self._connections = connections
        self._runs = runs
        # Run id -> what to call after its events. An entry is there from the first call to the run's end.
        self._waiting: dict[str, list[Callable[[], object]]] = {}
        runs.bus.subscribe(self._run_published)

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
            spawn(self._await_end, run)
        waiting = self._waiting[run_id]
        waiting.append(then)

        def take_back() -> None:
            if then in waiting:
                waiting.remove(then)

        return take_back

    def wait_sent(self, runs: Iterable[Run], seconds: float) -> None:
        """Wait for `when_sent` of all these runs, at most `seconds`."""
        deadline = time.monotonic() + seconds
        for run in runs:
            sent = threading.Event()
            take_back = self.when_sent(run.id, sent.set)
            sent.wait(max(0.0, deadline - time.monotonic()))
            take_back()

    def _run_published(self, run_id: str, log: EventLog) -> None:
        if len(self._connections):
            self._waiting[run_id] = []
            spawn(self._follow, run_id, log)

    def _follow(self, run_id: str, log: EventLog) -> None:
        try:
            started = next(iter(log))
            assert isinstance(started, RunStarted)
            sender = _Sender(started, self._connections)
            for batch in log.follow():
                if sender.send(batch):
                    log.wait(TEXT_SECONDS)  # what comes meanwhile is one batch; the run's end comes at once
        finally:
            self._call_waiting(run_id)

    def _await_end(self, run: Run) -> None:
        run.wait()
        self._call_waiting(run.id)

    def _call_waiting(self, run_id: str) -> None:
        waiting = self._waiting.pop(run_id, [])
        while waiting:
            waiting.pop(0)()


class _Sender:
    """Sends one run's events, and remembers which connections have got the text so far."""

    def __init__(self, run: RunStarted, connections: Connections) -> None:
        self._run = run
        self._connections = connections
        shown_id = shown_run_id(run.run_id, run.session_key)
        shows_reasoning = run.reasoning == "stream"
        self._encoder = RunEncoder(shown_id, run.agent_id, run.session_key, shows_reasoning=shows_reasoning)
        self._reached: dict[str, set[str]] = {}  # text -> ids of the connections that got its last event

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
