"""What ends runs from outside: their time is over, this process counts as dead, or it is about to stop."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

from app.errors import Draining, LeaseLost, ServiceUnavailable, UpstreamTimeout
from app.runs.run import Run
from app.runs.stored_request import comes_back
from app.sessions.base import RunStore
from app.sessions.shared_lanes import LOST

RETRY_SECONDS = 1.0
HANDED_OVER = "The gateway is stopping, and another worker goes on with the run: ask for it again."


def stop_overdue(runs: Iterable[Run]) -> None:
    """Abort those that have used up their time."""
    now = time.monotonic()
    for run in runs:
        if run.is_overdue(now):
            limit = run.timeout_seconds
            run.abort(UpstreamTimeout(f"The run did not end within {limit:g} s and was stopped."))


def stop_lost(runs: Iterable[Run]) -> None:
    """Abort those whose ends this process could not store any more: others have declared it dead."""
    for run in runs:
        if run.request.is_stored:
            run.abort(LeaseLost(LOST, retry_after=RETRY_SECONDS))


def hand_over(runs: Iterable[Run], store: RunStore) -> None:
    """Let another worker have those whose clients can come back for them; here they end."""
    for run in runs:
        if comes_back(run.request):
            with suppress(ServiceUnavailable):
                if store.give_up(run.id, run.fence):
                    run.abort(Draining(HANDED_OVER, retry_after=RETRY_SECONDS))
