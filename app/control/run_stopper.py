"""Stops runs, whichever worker has them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from app.cluster.ask import Workers
from app.cluster.base import Message
from app.errors import RunAborted, ServiceUnavailable
from app.runs.service import RunService
from app.sessions.run_rows import RunIndex
from app.storage.base import Worker

STOP_SECONDS = 2.0  # that a run may take to end once it is asked to


class RunStopper:
    """`stop` raises StorageUnavailable, and ClusterUnavailable: other workers cannot be told."""

    def __init__(self, runs: RunService, index: RunIndex, worker: Worker, workers: Workers) -> None:
        self._runs = runs
        self._index = index
        self._worker = worker
        self._workers = workers
        workers.answer("run.stop", self._answer)

    def stop(self, run_ids: Sequence[str], why: str) -> list[str]:
        """Abort these runs, which have been looked up, and wait a moment for their ends.

        Returns the ids of those that were stopped; others had ended, or were stopping already. Raises
        ServiceUnavailable: a run is in another process, which did not answer.
        """
        here = [run for one in run_ids if (run := self._runs.get(one)) is not None]
        stopped = [run.id for run in here if run.abort(RunAborted(why))]
        elsewhere = [one for one in run_ids if self._runs.get(one) is None]
        if elsewhere:
            stopped += self._stop_elsewhere(elsewhere, why)
        deadline = time.monotonic() + STOP_SECONDS
        for run in here:
            run.wait(max(0.0, deadline - time.monotonic()))
        return stopped

    def _stop_elsewhere(self, run_ids: Sequence[str], why: str) -> list[str]:
        wanted = set(run_ids)
        replies = self._workers.ask(
            "run.stop",
            {"run_ids": list(run_ids), "why": why},
            STOP_SECONDS + 1.0,
            enough=lambda one: wanted <= set(one["known"]),
        )
        stopped = [run_id for one in replies for run_id in one["stopped"]]
        known = {run_id for one in replies for run_id in one["known"]}
        return stopped + [one for one in run_ids if one not in known and self._stop_orphan(one, why)]

    def _stop_orphan(self, run_id: str, why: str) -> bool:
        """End a run that no worker has any more. False if it has ended."""
        stored = self._index.find(run_id)
        if stored is None or stored.has_ended:
            return False
        if self._worker.is_alive(stored.worker):
            raise ServiceUnavailable(
                f"The run {run_id} is at work in another process, which did not answer. Try again.",
                retry_after=1,
            )
        return self._index.end_orphan(stored, RunAborted.code, why)

    def _answer(self, question: Message) -> Mapping[str, Any]:
        here = [run for one in question["run_ids"] if (run := self._runs.get(one)) is not None]
        stopped = self.stop([run.id for run in here], question["why"]) if here else []
        return {"known": [run.id for run in here], "stopped": stopped}
