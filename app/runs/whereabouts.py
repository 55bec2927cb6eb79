"""Whether there is more to come of a run, on whichever worker: of those that nothing is heard of."""

from __future__ import annotations

from app.cluster.ask import Workers
from app.errors import ServiceUnavailable
from app.runs.service import RunService
from app.sessions.base import RunStore


class Whereabouts:
    """Asks the other workers, and answers them; then the store: one may yet go on with it."""

    def __init__(self, runs: RunService, store: RunStore, workers: Workers) -> None:
        self._runs = runs
        self._store = store
        self._workers = workers
        workers.answer("run", lambda question: {"here": runs.bus.has(str(question.get("run")))})

    def is_running(self, run_id: str) -> bool | None:
        """Whether it goes on; None if that cannot be known now."""
        if self._runs.bus.has(run_id):
            return True
        try:
            replies = self._workers.ask("run", {"run": run_id}, enough=lambda reply: bool(reply["here"]))
            if any(reply["here"] for reply in replies):
                return True
            place = self._store.place(run_id)
        except ServiceUnavailable:
            return None
        return place is not None and place.state == "running"
