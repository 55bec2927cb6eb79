"""How many sub-agents go back to one and the same message.

A sub-agent's result may give its parent a turn, which may start sub-agents again: without a bound on all of
them, one message could keep agents at work for days, after whoever wrote it has left.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from app.tools.base import ToolError

MAX_STARTED = 100
MAX_REMEMBERED = 10_000  # messages


class Families:
    """A family is named by the id of the run that somebody asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_run: dict[str, str] = {}
        self._started: OrderedDict[str, int] = OrderedDict()

    def of(self, run_id: str) -> str:
        return self._of_run.get(run_id, run_id)

    def join(self, run_id: str, family: str) -> None:
        """The run is one of the family, until `leave`."""
        self._of_run[run_id] = family

    def leave(self, run_id: str) -> None:
        self._of_run.pop(run_id, None)

    def grow(self, family: str) -> None:
        """Count one more sub-agent. Raises ToolError: the family has as many as it may."""
        with self._lock:
            count = self._started.get(family, 0)
            if count >= MAX_STARTED:
                raise ToolError(
                    f"{MAX_STARTED} sub-agents have been started since somebody wrote last, and no more are: "
                    "tell the user how far you have come."
                )
            self._started[family] = count + 1
            self._started.move_to_end(family)
            while len(self._started) > MAX_REMEMBERED:
                self._started.popitem(last=False)
