"""Work without a run that is done once for each key: a call of one tool, a copy of a session
(docs/idempotency.md#other-requests).

It is stored as a run of its own that nobody sees, with its answer as the only message. So keys hold for it
as they do for runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from app.errors import GatewayError
from app.ids import new_run_id
from app.logs.lines import log_event
from app.messages import Message
from app.sessions.base import SessionStore
from app.sessions.bound_keys import BINDING, KeyInUse, reused
from app.sessions.keys import owned_key, stateless_key
from app.sessions.remembered import BoundRun
from app.sessions.rows import CALLED
from app.sessions.stored import NewRun, RunKey

logger = logging.getLogger("app.runs")

LOOK_SECONDS = 0.25
NOBODY = "main"  # the agent in the key of the session that holds the answer
PREFIX = "once_"

Work = Callable[[], tuple[str, bool]]


class Once:
    """Does work, or finds what it came to. `take_over` looks after what dead workers have left."""

    def __init__(self, store: SessionStore, take_over: Callable[[], object]) -> None:
        self._runs = store.runs
        self._outcomes = store.outcomes
        self._take_over = take_over
        self._at_work: dict[str, threading.Event] = {}  # what this process does, by the run's id

    def do(self, key: RunKey, owner: str | None, work: Work) -> tuple[str, bool]:
        """What `work` returns, and whether it was done before; waits while it is being done elsewhere.

        `work` returns its answer, and whether that is one to keep: else the next request with the key is done
        again, as it is if `work` raises. Raises what `work` raises, IdempotencyKeyReused and
        StorageUnavailable.
        """
        while True:
            bound = self._outcomes.bound(key.id)
            if bound is not None and bound.state in BINDING:
                if bound.body_hash != key.body_hash:
                    raise reused()
                if bound.state == "finished" and (kept := self._outcomes.run(bound.run_id)) is not None:
                    return kept.messages[-1].message.text, True
                self._wait(bound)
                continue
            run_id = new_run_id(PREFIX)
            session = owned_key(stateless_key(NOBODY, "once"), owner)
            try:
                accepted = self._runs.accept(run_id, session, NOBODY, None, CALLED, (), NewRun(True, key=key))
            except KeyInUse:
                continue  # at the same moment
            return self._do(run_id, accepted.fence, work), False

    def _do(self, run_id: str, fence: int, work: Work) -> str:
        done = self._at_work[run_id] = threading.Event()
        answer, is_kept = "", False
        try:
            answer, is_kept = work()
            return answer
        finally:
            self._end(run_id, fence, answer, is_kept)
            del self._at_work[run_id]
            done.set()

    def _end(self, run_id: str, fence: int, answer: str, is_kept: bool) -> None:
        messages = [(Message("assistant", answer), "complete")] if is_kept else []
        try:
            self._runs.finish(run_id, "finished" if is_kept else "failed", messages, fence=fence)  # type: ignore[arg-type]
        except GatewayError as error:
            told = {"run_id": run_id, "error": error.message}
            log_event(logger, logging.ERROR, "an answer could not be stored", **told)

    def _wait(self, bound: BoundRun) -> None:
        """Until it may be something else."""
        done = self._at_work.get(bound.run_id)
        if done is not None:
            done.wait()
        elif self._outcomes.named(bound.run_id) != bound._replace(body_hash=None):
            return
        elif self._outcomes.is_own(bound):  # its end could not be stored
            self._runs.finish(bound.run_id, "interrupted", (), fence=bound.fence)
        elif self._outcomes.is_left(bound):
            self._take_over()
        else:
            time.sleep(LOOK_SECONDS)
