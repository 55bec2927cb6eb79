"""Those who read the events of runs beside the clients that wait for their answers: bounded, as each of them
has a connection, and each event of a run wakes all who read it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from app.errors import Overloaded
from app.events.log import EventLog

MAX_READERS = 100  # of one run
RETRY_SECONDS = 1.0


class Readers:
    """`room` says how many more the server has connections for."""

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self._of_log: Counter[int] = Counter()
        self.count = 0

    def join(self, log: EventLog) -> Callable[[], None]:
        """Count one more reader of the run. Returns a function that takes it away. Raises Overloaded."""
        place = id(log)
        if self._of_log[place] >= MAX_READERS:
            raise Overloaded(
                f"This run has {MAX_READERS} followers already. Try again later.", retry_after=RETRY_SECONDS
            )
        if self._room() <= 0:
            raise Overloaded(
                "The gateway has no more connections for followers. Try again.", retry_after=RETRY_SECONDS
            )
        self._of_log[place] += 1
        self.count += 1
        kept = [log]  # so that no other log takes its place while it is counted

        def leave() -> None:
            if not kept:
                return
            kept.clear()
            self.count -= 1
            self._of_log[place] -= 1
            if not self._of_log[place]:
                del self._of_log[place]

        return leave
