"""Those who wait for a run on another worker than its own.

a client follows a run of worker A on worker B      B counts it
the last follower on A leaves                       A asks the others: B has one, so the run goes on
the one on B leaves                                 B tells A, which asks again, and stops the run
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from app.cluster.ask import Workers
from app.cluster.base import Message
from app.concurrency.background import spawn
from app.errors import ClusterUnavailable, GatewayError, RunAborted
from app.runs.followers import Leaving
from app.runs.service import RunService


class FollowedElsewhere:
    """Counts those who follow runs of other workers here, and asks the others about this worker's."""

    def __init__(self, runs: RunService, workers: Workers) -> None:
        self._runs = runs
        self._workers = workers
        self._counts: Counter[str] = Counter()
        workers.answer("run.followers", lambda question: {"count": self._counts[question["run_id"]]})
        workers.answer("run.left", self._left)
        runs.is_followed_elsewhere = self.is_followed

    def is_followed(self, run_id: str) -> bool:
        """Whether somebody waits for a run of this worker on another one."""
        try:
            replies = self._workers.ask("run.followers", {"run_id": run_id}, enough=lambda one: one["count"])
        except ClusterUnavailable:
            return False  # nobody can follow it there either
        return any(one["count"] for one in replies)

    def run(self, run_id: str) -> RunElsewhere:
        """That run of another worker, for those who follow it here."""
        return RunElsewhere(self, run_id)

    def join(self, run_id: str) -> None:
        """One more waits for it here."""
        self._counts[run_id] += 1

    def leave(self, run_id: str) -> None:
        """The end of `join`."""
        self._counts[run_id] -= 1
        if self._counts[run_id] <= 0:
            del self._counts[run_id]
            spawn(self._tell, run_id)

    def _tell(self, run_id: str) -> None:
        try:
            self._workers.ask("run.left", {"run_id": run_id}, enough=lambda one: one["known"])
        except ClusterUnavailable:
            return  # it goes on to its end, or its time limit

    def _left(self, question: Message) -> Mapping[str, Any]:
        run = self._runs.get(question["run_id"])
        if run is not None:
            run.followed(RunAborted("The client closed the connection.")).leave()
        return {"known": run is not None}


class RunElsewhere:
    """As much of a run of another worker as its followers need."""

    def __init__(self, all_of_them: FollowedElsewhere, run_id: str) -> None:
        self._all = all_of_them
        self._id = run_id

    def followed(self, _why: GatewayError | None = None) -> Leaving:
        """One more who waits for it."""
        return _Distant(self._all, self._id)


class _Distant(Leaving):
    def __init__(self, all_of_them: FollowedElsewhere, run_id: str) -> None:
        self._all = all_of_them
        self._id = run_id
        self._is_here = True
        all_of_them.join(run_id)

    def leave(self) -> None:
        if self._is_here:
            self._is_here = False
            self._all.leave(self._id)
