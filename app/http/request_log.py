"""One line and one count for each answered request; health checks are only counted."""

from __future__ import annotations

import logging
import time

from flask import Request, Response, g

from app.http.access import HEALTH_PATHS, current_gateway
from app.logs import log_event
from app.runs.run import Run

logger = logging.getLogger("app.http")

UNKNOWN_ROUTE = "unknown"


def note_start() -> None:
    g.started_at = time.monotonic()


def note_answer(request: Request, response: Response, run: Run | None) -> None:
    """Count the answer now, and log it when its last byte has been handed over."""
    route = request.url_rule.rule if request.url_rule is not None else UNKNOWN_ROUTE
    status = response.status_code
    current_gateway().metrics.requests(route, str(status)).inc()
    if request.path in HEALTH_PATHS or not logger.isEnabledFor(logging.INFO):
        return
    started_at = g.get("started_at", time.monotonic())
    fields = {
        "method": request.method,
        "path": request.path,
        "status": status,
        "client": request.remote_addr,
        "run_id": run.id if run is not None else None,
    }

    def log_end() -> None:
        seconds = time.monotonic() - started_at
        log_event(logger, logging.INFO, "request answered", **fields, total_ms=round(seconds * 1000, 1))

    response.call_on_close(log_end)
