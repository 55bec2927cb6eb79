"""Turns that a session has by itself, because its sub-agents have come to results that nobody waited for.

One run at a time in a session, only when nothing else goes on there, and with all the results there are. At
most MAX_CHAIN in a row: a turn may start sub-agents again, and somebody has to write in between at last.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from app.concurrency.background import spawn
from app.control.agent_runs import AgentRuns
from app.control.child import ChildRun
from app.control.families import Families
from app.errors import GatewayError
from app.logs.lines import log_event
from app.runs.run import Run
from app.runs.service import RunService
from app.sessions.base import SessionIndex
from app.tools.base import ToolError
from app.tools.untrusted import wrap_untrusted

logger = logging.getLogger("app.agents")

MAX_CHAIN = 10
ANNOUNCEMENT = (
    "[Sub-agents that you started have ended. Go on with what you wanted their results for, and tell the "
    "user what matters to them. Nobody has written this message.]"
)


class Announcements:
    """`undelivered` gives the ended sub-agents of a session whose results nobody has got."""

    def __init__(
        self,
        runs: RunService,
        agent_runs: AgentRuns,
        index: SessionIndex,
        undelivered: Callable[[str], list[ChildRun]],
        families: Families,
    ) -> None:
        self._runs = runs
        self._agent_runs = agent_runs
        self._index = index
        self._undelivered = undelivered
        self._families = families
        self._lock = threading.Lock()
        self._at_work: set[str] = set()  # sessions
        self._chains: dict[str, int] = {}  # by the ids of runs made here

    def chain_of(self, run_id: str) -> int:
        """How many turns in a row, up to this run, the session has had by itself."""
        return self._chains.get(run_id, 0)

    def check(self, run_id: str) -> None:
        """Raise ToolError if a sub-agent that this run starts would not be announced any more."""
        if self.chain_of(run_id) >= MAX_CHAIN:
            raise ToolError(
                f"You have gone on by yourself for {MAX_CHAIN} turns: no more sub-agents before somebody "
                "writes. Tell the user how far you have come."
            )

    def session_of(self, key: str) -> tuple[str, int] | None:
        """What tells a conversation from one that takes its place: it changes when a session is reset."""
        session = self._index.describe(key)
        return None if session is None else (session.session_id, session.revision)

    def make(self, key: str) -> None:
        """See to it that the session gets the results that are there, or come while this is at work."""
        with self._lock:
            if key in self._at_work or not self._undelivered(key):
                return
            self._at_work.add(key)
        spawn(self._make_all, key)

    def _make_all(self, key: str) -> None:
        try:
            while True:
                # One that has ended may still be listed, and must not keep this loop turning.
                if going_on := [run for run in self._runs.in_session(key) if not run.ended]:
                    going_on[0].wait()
                    continue
                with self._lock:
                    if not (children := self._undelivered(key)):
                        self._at_work.discard(key)
                        return
                self._make(key, children)
        except BaseException:
            self._at_work.discard(key)
            raise

    def _make(self, key: str, children: Sequence[ChildRun]) -> None:
        for child in children:
            child.is_delivered = True  # whatever becomes of it: it is not tried again
        chain = max(child.chain for child in children) + 1
        try:
            present = self.session_of(key)
            if present is None or any(child.parent_session != present for child in children):
                log_event(logger, logging.INFO, "results of sub-agents have no session any more", session=key)
                return
            if chain > MAX_CHAIN:
                log_event(
                    logger, logging.WARNING, "results of sub-agents wait for somebody to write", session=key
                )
                return
            run = self._start(key, children, chain)
        except GatewayError as error:
            log_event(
                logger,
                logging.WARNING,
                "results of sub-agents were not announced",
                session=key,
                error=error.message,
            )
            return
        run.wait()
        self._chains.pop(run.id, None)
        self._families.leave(run.id)
        for child in children:
            child.deliver(self._index)

    def _start(self, key: str, children: Sequence[ChildRun], chain: int) -> Run:
        request = self._agent_runs.request(children[-1].origin, key, announcement(children), depth=0)
        run = self._agent_runs.start(request)
        self._chains[run.id] = chain
        self._families.join(run.id, children[-1].family)
        log_event(
            logger, logging.INFO, "results of sub-agents announced", run_id=run.id, children=len(children)
        )
        return run


def announcement(children: Sequence[ChildRun]) -> str:
    """The message that tells a session's agent what its sub-agents have come to."""
    parts = [ANNOUNCEMENT]
    for child in children:
        name = child.task.label or child.task.name or child.id
        if child.state == "done":
            parts.append(f"{name}: done.\n{wrap_untrusted(child.text, f'sub-agent {name}')}")
        else:
            parts.append(f"{name}: {child.state}. {child.error or ''}")
    return "\n\n".join(parts)
