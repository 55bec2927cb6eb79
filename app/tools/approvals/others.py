"""The other workers, as far as approvals go: they have approvers of their own, and runs that wait."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from app.cluster.ask import Workers
from app.cluster.base import Message
from app.concurrency.background import spawn
from app.errors import ClusterUnavailable
from app.logs.lines import log_event

logger = logging.getLogger("app.approvals")

MAX_REMEMBERED = 2000


class OtherWorkers:
    """Tells them of approvals that begin or end, by their ids, and asks whether they have approvers.

    A message that does not arrive is no harm: each worker looks at what it waits for once a second.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._known: OrderedDict[tuple[str, bool], None] = OrderedDict()

    def is_news(self, approval_id: str, *, pending: bool) -> bool:
        """Whether this worker's listeners have not been told yet that the approval has begun, or ended."""
        state = (approval_id, pending)
        if state in self._known:
            return False
        self._known[state] = None
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return True

    def tell(self, approval_id: str) -> None:
        """Say that something has happened to it."""
        try:
            self._workers.pubsub.publish("approvals", {"id": approval_id})
        except ClusterUnavailable as error:
            log_event(logger, logging.WARNING, "other workers were not told", why=error.message)

    def when_told(self, then: Callable[[str], object]) -> None:
        """Call `then` with the id of an approval that another worker tells of; it may wait."""

        def told(message: Message) -> None:
            spawn(then, str(message["id"]))

        self._workers.pubsub.subscribe("approvals", told)

    def have_approvers(self, session_key: str) -> bool:
        """Whether another worker has somebody who may approve what the session's runs do."""
        question = {"session_key": session_key}
        try:
            replies = self._workers.ask("approvers", question, enough=lambda reply: bool(reply["are_there"]))
        except ClusterUnavailable:
            return False
        return any(reply["are_there"] for reply in replies)

    def answer_for(self, are_there: Callable[[str], bool]) -> None:
        """Answer them whether this worker has such approvers."""
        self._workers.answer("approvers", lambda asked: {"are_there": are_there(str(asked["session_key"]))})
