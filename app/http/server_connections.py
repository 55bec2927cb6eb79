"""How many connections the server holds: no more than the process may open files."""

from __future__ import annotations

import logging
import resource
from typing import Any

from app.logs.lines import log_event

logger = logging.getLogger("app.http")

FILES_KEPT = 64  # for the database, logs, the listening sockets, the event loop, and images being fetched
RUNS_SHARE = 0.8  # of the connections: health checks must always find a free one


def limit_connections(worker: Any, max_runs: int) -> int:
    """Lower the `worker_connections` of gunicorn's worker to what `ulimit -n` allows, and log that.

    Returns the most runs at a time that leave a connection free for health checks. To be called before the
    worker's `run`, which reads `worker_connections`.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = worker.worker_connections
    if files != resource.RLIM_INFINITY:
        worker.worker_connections = connections_within(files, wanted, max_runs)
    connections = worker.worker_connections
    runs = max(1, int(connections * RUNS_SHARE))
    if connections < wanted:
        log_event(
            logger,
            logging.WARNING,
            "fewer connections at a time, because `ulimit -n` allows no more open files",
            ulimit=files,
            worker_connections=connections,
            instead_of=wanted,
            max_runs=min(runs, max_runs),
        )
    return runs


def connections_within(files: int, wanted: int, max_runs: int) -> int:
    """The most client connections with so many open files, at least one.

    Each run may need a connection to a provider besides its client's; at most half of the files are kept for
    those.
    """
    free = files - FILES_KEPT
    return max(1, min(wanted, free - min(max_runs, free // 2)))
