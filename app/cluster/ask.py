"""Questions to the other workers, and their replies: for what only they know.

    asker     publish("ask",   {"id": "7f…", "what": "logs", "cursor": 5})  -> 2 workers get it
    others    publish("reply", {"id": "7f…", "reply": {...}})               one each
    asker     has both replies, or goes on without the missing one when its time is over

A worker that hangs or dies in between costs the asker that time, and nothing else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.cluster.base import Message, NoOthers, PubSub
from app.concurrency.background import spawn
from app.errors import ClusterUnavailable
from app.ids import new_hex

ASK_SECONDS = 1.0

Reply = Callable[[Message], Mapping[str, Any]]


class _Question:
    def __init__(self, enough: Callable[[Message], bool]) -> None:
        self.enough = enough
        self.replies: list[Message] = []
        self.wanted = 0  # replies; 0 while that is not known
        self.changed = threading.Event()

    @property
    def is_over(self) -> bool:
        return (0 < self.wanted <= len(self.replies)) or any(map(self.enough, self.replies))


class Workers:
    """The other workers, as somebody who can be asked something."""

    def __init__(self, pubsub: PubSub) -> None:
        self.pubsub = pubsub
        self._open: dict[str, _Question] = {}
        self._answers: dict[str, Reply] = {}
        pubsub.subscribe("ask", self._asked)
        pubsub.subscribe("reply", self._replied)

    def answer(self, what: str, reply: Reply) -> None:
        """Answer other workers' questions of that name with what `reply` makes of them; it may wait."""
        self._answers[what] = reply

    def ask(
        self,
        what: str,
        question: Mapping[str, Any],
        seconds: float = ASK_SECONDS,
        enough: Callable[[Message], bool] = lambda _reply: False,
    ) -> Sequence[Message]:
        """The replies of the other workers that come within `seconds`, or until one of them is `enough`.

        Empty if there are no others. Raises ClusterUnavailable: they cannot be reached.
        """
        if not self.pubsub.is_shared:
            return ()
        question_id, asked = new_hex(), _Question(enough)
        self._open[question_id] = asked
        deadline = time.monotonic() + seconds
        try:
            asked.wanted = self.pubsub.publish("ask", {**question, "id": question_id, "what": what})
            while asked.wanted and not asked.is_over and time.monotonic() < deadline:
                asked.changed.wait(max(0.0, deadline - time.monotonic()))
                asked.changed.clear()
        finally:
            del self._open[question_id]
        return asked.replies

    def _asked(self, message: Message) -> None:
        if message["what"] in self._answers:
            spawn(self._reply, message)

    def _reply(self, message: Message) -> None:
        reply = self._answers[message["what"]](message)
        try:
            self.pubsub.publish("reply", {"id": message["id"], "reply": reply})
        except ClusterUnavailable:
            return  # the asker has given up, too

    def _replied(self, message: Message) -> None:
        asked = self._open.get(message["id"])
        if asked is not None:
            asked.replies.append(message["reply"])
            asked.changed.set()


def no_workers() -> Workers:
    """For a gateway of a single worker."""
    return Workers(NoOthers())
