"""What a tool that is at work has so far, told to those who follow its run.

A tool may tell as often as it likes: what is told is bounded, since a run's events are kept to its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.concurrency.background import call_later
from app.events.types import Event, ToolUpdated
from app.messages import ToolCall
from app.tools.display import valid

SECONDS = 0.15  # between two events at first
SLOWER_BY = 1 / 20  # of that for each one more: ten minutes of output have about 400
MAX_TEXT = 4_000  # characters of an event, from the end of what there is
MAX_TEXTS = 1024 * 1024  # characters of all events of a call; then each has only SHORT_TEXT
SHORT_TEXT = 120


class Updates:
    """The `update` of a call. Of what comes too fast the newest is published, a little later."""

    def __init__(self, call: ToolCall, publish: Callable[[Event], object]) -> None:
        self._call = call
        self._publish = publish
        self._newest = ""
        self._waits = False
        self._ended = False
        self._published = 0
        self._left = MAX_TEXTS
        self._next_at = 0.0

    def __call__(self, text: str) -> None:
        if self._ended:
            return
        self._newest = text[-MAX_TEXT:]
        if self._waits:
            return
        pause = self._next_at - time.monotonic()
        if pause > 0:
            self._waits = True
            call_later(pause, self._send)
        else:
            self._send()

    def end(self) -> None:
        """The call has a result: what there was before is of no interest any more."""
        self._ended = True

    def _send(self) -> None:
        self._waits = False
        if self._ended:
            return
        self._published += 1
        self._next_at = time.monotonic() + SECONDS * (1 + SLOWER_BY * self._published)
        shown = self._newest if len(self._newest) <= self._left else self._newest[-SHORT_TEXT:]
        self._left -= len(shown)
        self._publish(ToolUpdated(self._call.id, self._call.name, valid(shown)))
